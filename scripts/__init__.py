"""The pipeline behind `./ship`: one module a stage, and the few nouns that the stages share."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""This checkout."""
BUILD = ROOT / "build"
"""What the stages make, and hand to each other."""
PYTHON = ("app", "training", "scripts", "tests")
"""The folders of this checkout that hold Python."""
