"""The mutants that may live: `surviving-mutants.toml`, reviewed like code, each with its reason."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from scripts import ROOT
from scripts.failure import Failure
from scripts.mutant import Mutant, Outcome
from scripts.page import table

FILE = ROOT / "surviving-mutants.toml"
Words = Annotated[str, msgspec.Meta(min_length=1, pattern=r"\S")]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why one mutant may live."""

    file: Words
    function: Words
    was: Words
    becomes: str
    reason: Words

    @property
    def change(self) -> tuple[str, str, str, str]:
        """As `Mutant.change`."""
        return self.file, self.function, self.was, self.becomes


class _File(msgspec.Struct, forbid_unknown_fields=True):
    survivor: list[Entry] = []


def read(path: Path = FILE) -> list[Entry]:
    """Return the entries of `path`, none when there is no such file. Raises Failure when one of them is malformed."""
    remedy = "docs/testing.md has an example"
    try:
        entries = msgspec.toml.decode(path.read_bytes(), type=_File).survivor
    except FileNotFoundError:
        return []
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Failure(f"{path.name}: {error}", remedy) from error
    seen = set()
    for entry in entries:
        if entry.change in seen:
            raise Failure(f"{path.name}: the same change of {entry.file} stands there twice: {entry.becomes}", remedy)
        seen.add(entry.change)
    return entries


def text(outcome: Outcome, alive: Sequence[Mutant], entries: Sequence[Entry]) -> str:
    """Return the score and the table of what lives, as docs/testing.md has them."""
    reasons = {entry.change: entry.reason for entry in entries}
    rows = [
        (
            f"`{mutant.file}` `{mutant.function}`",
            _code(mutant.was),
            _code(mutant.becomes),
            reasons.get(mutant.change, "**no reason yet**"),
        )
        for mutant in alive
    ]
    score = f"{outcome.killed} of {outcome.total} mutants killed ({outcome.score:.1f} %), {outcome.alive} survive."
    return "\n\n".join([score, table(("where", "was", "becomes", "why it may live"), rows)]) + "\n"


def _code(line: str) -> str:
    return f"`{line}`".replace("|", r"\|") if line else "nothing"
