"""GitHub: its Actions, and how the repository is set up there."""
