"""GitHub: its Actions, and the settings of the repository there."""
