"""The page on which a person decides who is in each photo, in a browser on the same machine."""
