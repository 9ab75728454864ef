"""A page of docs/ that a stage writes a part of, between two markers; the rest of it is written by people."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from scripts.errors import Failure

END = "<!-- to here -->"


def rewrite(path: Path, begin: str, text: str) -> None:
    """Put `text` between the lines `begin` and END. Raises Failure where they are not there, each once."""
    page = path.read_text()
    if page.count(begin) != 1 or page.count(END) != 1:
        raise Failure(f"{path.name} must have one line {begin} and, later, one line {END}")
    head, _, rest = page.partition(begin)
    path.write_text(f"{head}{begin}\n\n{text}\n{END}{rest.partition(END)[2]}")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of texts in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
