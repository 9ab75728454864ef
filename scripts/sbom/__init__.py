"""The software bill of materials: what is in an image."""
