"""A trained system in one folder: new photos are identified by it, and decisions are enrolled in its gallery."""
