"""What prints: figures as PNG, templates of pages."""
