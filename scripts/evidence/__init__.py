"""The signature and attestations of an image: attaching them and verifying them."""
