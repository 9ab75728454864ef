"""`./ship format`: Python as ruff writes it, with the fixes that change no behaviour."""

from scripts import PYTHON, ROOT
from scripts.process import TOOLS, output


def format_code() -> str:
    """Apply ruff's safe fixes, then its format; return what it says of each. Raises Failure for what is no Python."""
    ruff = str(TOOLS / "ruff")
    fixed = output(ruff, "check", "--fix-only", *PYTHON, cwd=ROOT)
    formatted = output(ruff, "format", *PYTHON, cwd=ROOT)
    return ", ".join(filter(None, [fixed.rstrip("."), formatted]))
