"""The mutants that may survive: `surviving-mutants.toml`, reviewed like code, each with a reason."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from scripts import ROOT
from scripts.errors import Failure
from scripts.mutation.mutant import Mutant, Outcome
from scripts.page import table

FILE = ROOT / "tests" / "surviving-mutants.toml"
Words = Annotated[str, msgspec.Meta(min_length=1, pattern=r"\S")]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Why one mutant, or every mutant of the same lines, may survive."""

    file: Words
    function: Words
    was: Words
    becomes: str | None = None
    """None covers every mutant of the lines."""
    reason: Words

    def covers(self, mutant: Mutant) -> bool:
        """Return whether this covers `mutant`."""
        same = (self.file, self.function, self.was) == (mutant.file, mutant.function, mutant.was)
        return same and self.becomes in {None, mutant.becomes}


class _File(msgspec.Struct, forbid_unknown_fields=True):
    survivor: list[Entry] = []


def read(path: Path = FILE) -> list[Entry]:
    """Return the entries of `path`, none when there is no such file. Raises Failure when one is malformed."""
    remedy = "docs/testing.md has an example"
    try:
        entries = msgspec.toml.decode(path.read_bytes(), type=_File).survivor
    except FileNotFoundError:
        return []
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Failure(f"{path.name}: {error}", remedy) from error
    seen = set()
    for entry in entries:
        change = (entry.file, entry.function, entry.was, entry.becomes)
        if change in seen:
            raise Failure(f"{path.name}: the same change of {entry.file} occurs twice: {entry.was}", remedy)
        seen.add(change)
    return entries


def text(outcome: Outcome, alive: Sequence[Mutant], entries: Sequence[Entry]) -> str:
    """Return the score and the table of survivors for docs/testing.md: a row for each line and reason."""
    changes: dict[tuple[str, str, str, str], list[str]] = {}
    for mutant in alive:
        reason = next((entry.reason for entry in entries if entry.covers(mutant)), "**no reason yet**")
        changes.setdefault((mutant.file, mutant.function, mutant.was, reason), []).append(mutant.becomes)
    rows = [
        (
            f"`{file}` `{function}`",
            _code(was),
            _code(becomes[0]) if len(becomes) == 1 else f"{len(becomes)} other lines",
            reason,
        )
        for (file, function, was, reason), becomes in changes.items()
    ]
    score = f"{outcome.killed} of {outcome.total} mutants killed ({outcome.score:.1f} %), {outcome.alive} survive."
    return "\n\n".join([score, table(("where", "was", "becomes", "why it may live"), rows)]) + "\n"


def _code(line: str) -> str:
    return f"`{line}`".replace("|", r"\|") if line else "nothing"
