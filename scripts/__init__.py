"""The pipeline behind `./ship`: a module for each command, and the rooms that they share."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""This checkout."""
BUILD = ROOT / "build"
"""The files that stages hand to each other."""
PYTHON = ("app", "training", "scripts", "tests")
"""The folders of this checkout that hold Python."""
