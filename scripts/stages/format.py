"""`./ship format`: Python as ruff writes it, with the fixes that change no behaviour."""

from scripts import ROOT
from scripts.process import TOOLS, output

FOLDERS = ("app", "training", "scripts", "tests")


def format_code() -> str:
    """Apply ruff's safe fixes, then its format; return what it says of each. Raises Failure for what is no Python."""
    ruff = str(TOOLS / "ruff")
    fixed = output(ruff, "check", "--fix-only", *FOLDERS, cwd=ROOT)
    formatted = output(ruff, "format", *FOLDERS, cwd=ROOT)
    return ", ".join(filter(None, [fixed.rstrip("."), formatted]))
