"""A collection as its owner keeps it, checked, grouped and split."""
