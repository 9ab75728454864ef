"""The machine that `./ship` runs on: its Docker engine, its packages, and images that others made."""
