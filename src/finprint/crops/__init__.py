"""From photos to crops: what of a photo counts, cut out and stored."""
