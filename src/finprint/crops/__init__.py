"""From photos to crops: which part of a photo counts, cut out and stored."""
