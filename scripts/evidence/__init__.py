"""What is signed and attached beside an image, and whether it is true."""
