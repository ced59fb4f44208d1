"""YOLOv5: trained on the photos that have boxes, kept in a folder, finding animals."""
