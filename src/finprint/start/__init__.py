"""A recipe for one's own photos: what lies in a folder, what fits it and the minutes, and params.yaml that says so."""
