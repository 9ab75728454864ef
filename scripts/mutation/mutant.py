"""The mutants that mutmut made of a project, and which of them survived the unit tests.

mutmut writes all variants of a function into one copy of the module, and the exit status of pytest for each into a
`.meta` file beside it: https://mutmut.readthedocs.io.
"""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

# Exit statuses that count as killed: pytest's for a failed test or an internal error, and mutmut's for a time-out.
# Negative ones are signals.
_KILLED = {1, 3, 24, 36, 152, 255}
_NAME = re.compile(r"(?:.*\.)?(?P<whole>(?P<original>x(?:_|ǁ(?P<owner>\w+?)ǁ)(?P<function>\w+)__mutmut)_\d+)")


@dataclass(frozen=True)
class Mutant:
    """A small wrong change of one function that no test noticed."""

    file: str
    function: str
    """With its class, such as `Record.release`."""
    was: str
    """The lines that differ, joined."""
    becomes: str
    line: int
    """Where they begin."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}\n    - {self.was}\n    + {self.becomes}"


@dataclass(frozen=True)
class Outcome:
    """How many mutants there are, were tried, and were killed."""

    total: int
    tried: int
    killed: int

    @property
    def alive(self) -> int:
        return self.tried - self.killed

    @property
    def score(self) -> float:
        """Percent of all mutants that were killed."""
        return 100 * self.killed / self.total if self.total else 0.0


def outcome(folder: Path) -> Outcome:
    """Return the outcome so far for the mutants in `folder`."""
    codes = [code for statuses in _statuses(folder).values() for code in statuses.values()]
    tried = [code for code in codes if code is not None]
    return Outcome(len(codes), len(tried), sum(map(_is_kill, tried)))


def survivors(folder: Path) -> list[Mutant]:
    """Return the mutants in `folder` that no test killed, by file and line."""
    found: list[Mutant] = []
    for file, statuses in _statuses(folder).items():
        names = [name for name, code in statuses.items() if code is not None and not _is_kill(code)]
        if names:
            found += _mutants(folder, file, names)
    return sorted(found, key=lambda mutant: (mutant.file, mutant.line, mutant.becomes))


def _is_kill(code: int) -> bool:
    return code < 0 or code in _KILLED


def _statuses(folder: Path) -> dict[str, dict[str, int | None]]:
    """Return, for each file, the exit status of pytest by mutant; None for one that was not tried yet."""
    found = {}
    for path in sorted(folder.rglob("*.py.meta")):
        try:
            statuses = json.loads(path.read_bytes())["exit_code_by_key"]
        except ValueError:  # mutmut is writing it
            continue
        found[str(path.relative_to(folder)).removesuffix(".meta")] = statuses
    return found


def _mutants(folder: Path, file: str, names: list[str]) -> Iterator[Mutant]:
    mutated = (folder / file).read_text(encoding="utf-8")
    lines, places = mutated.splitlines(), dict(_functions(ast.parse(mutated)))
    original = dict(_functions(ast.parse((folder.parent / file).read_text(encoding="utf-8"))))
    for name in names:
        known = _NAME.fullmatch(name)
        assert known, name  # noqa: S101 - mutmut named it
        function = f"{known['owner']}.{known['function']}" if known["owner"] else known["function"]
        scope = f"{known['owner']}." if known["owner"] else ""
        before, after = (
            [line.strip().replace(own, known["function"]) for line in lines[place.lineno - 1 : place.end_lineno]]
            for own in (f"{known['original']}_orig", known["whole"])
            for place in (places[scope + own],)
        )
        blocks = [block for block in SequenceMatcher(None, before, after).get_opcodes() if block[0] != "equal"]
        first, last = blocks[0], blocks[-1]
        yield Mutant(
            file,
            function,
            was=" ".join(before[first[1] : last[2]]),
            becomes=" ".join(after[first[3] : last[4]]),
            line=original[function].lineno + first[1],
        )


def _functions(
    tree: ast.Module | ast.ClassDef, scope: str = ""
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{scope}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{scope}{node.name}", node
