"""The second look: local features of crops, and how well those of two crops match."""
