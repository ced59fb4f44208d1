"""What the answers are worth: judged, compared, doubted."""
