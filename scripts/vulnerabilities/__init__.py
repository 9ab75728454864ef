"""Known vulnerabilities of the packages in an image, and which of them stop a release."""
