"""Gallery and queries: nearest photos, known or new, probabilities, metrics. No torch."""
