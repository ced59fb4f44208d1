"""The embedding model: backbone, fusion, neck, heads; views, and vectors of crops."""
