"""What leaves the project: sightings, capture histories, folders of photos."""
