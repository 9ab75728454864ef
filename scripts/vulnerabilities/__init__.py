"""What is known against the packages of an image, and what stops a release."""
