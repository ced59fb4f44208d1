"""What people look at: the report, plots, heat maps."""
