"""Pages of docs/ with a part between two markers that a stage writes; people write the rest."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from scripts.errors import Failure

END = "<!-- to here -->"


def rewrite(path: Path, begin: str, text: str) -> None:
    """Put `text` between the lines `begin` and END. Raises Failure unless each occurs once."""
    page = path.read_text()
    if page.count(begin) != 1 or page.count(END) != 1:
        raise Failure(f"{path.name} must have one line {begin} and below it one line {END}")
    head, _, rest = page.partition(begin)
    path.write_text(f"{head}{begin}\n\n{text}\n{END}{rest.partition(END)[2]}")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
