"""`./ship mutate`: small wrong changes of critical code, each of which a unit test must notice.

mutmut makes the mutants in a copy of the checkout under `build/`, and runs the tests that reach each one.
"""

import os
import shutil
import subprocess
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from configparser import RawConfigParser
from contextlib import contextmanager
from pathlib import Path

import msgspec

from scripts import BUILD, ROOT, git
from scripts.console import duration, say
from scripts.errors import Failure
from scripts.mutation import mutant, survivors
from scripts.mutation.mutant import Outcome
from scripts.page import rewrite
from scripts.process import TOOLS, stop

FLOOR = 90
"""Percent of all mutants that must be killed, even if every survivor has a reason."""
PAGE = ROOT / "docs" / "testing.md"
BEGIN = "<!-- ./ship mutate --write writes from here -->"
FOLDER = BUILD / "mutate"
MUTANTS = FOLDER / "mutants"
"""Where mutmut puts the code with all mutants and runs the tests."""
PATIENCE = 4.0
"""Seconds between two lines of progress."""


class Scope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is mutated: `[tool.shipshape.mutate]` in pyproject.toml."""

    paths: list[str]
    """Files, and folders with everything in them."""
    apart_from: list[str]
    """Files in these folders to leave alone."""
    words: list[str] = []
    """Patterns of lines to leave alone because they hold only words for people."""
    without: list[str]
    """Tests to leave out, by the beginning of their names."""


def mutate(path: str = "", *, write: bool = False) -> str:
    """Mutate the files in scope at `path` and below, and return the score.

    With `write`, update docs/testing.md too. Raises Failure when a mutant survives without a reason in
    tests/surviving-mutants.toml, and when fewer than FLOOR percent are killed.
    """
    scope, entries = _scope(), survivors.read()
    files = choose_files(scope, path)
    try:
        with tempfile.TemporaryDirectory(prefix="ship-mutate-") as scratch:
            _prepare(files, scope)
            _run(_environment(Path(scratch)))
        found, alive = mutant.outcome(MUTANTS), mutant.survivors(MUTANTS)
    finally:
        shutil.rmtree(FOLDER, ignore_errors=True)
    if write:
        rewrite(PAGE, BEGIN, survivors.text(found, alive, entries))
    return judge(found, alive, [entry for entry in entries if entry.file in files])


def choose_files(scope: Scope, path: str) -> list[str]:
    """Return the files in scope at `path` or below, all of them if it is empty. Raises Failure when there are none."""
    remedy = "[tool.shipshape.mutate] in pyproject.toml defines the scope"
    files: list[str] = []
    for named in scope.paths:
        place = ROOT / named
        found = sorted(place.rglob("*.py")) if place.is_dir() else [place]
        if not found or not found[0].is_file():
            raise Failure(f"pyproject.toml names {named}, but there is no Python file", remedy)
        files += [file.relative_to(ROOT).as_posix() for file in found]
    wanted = (ROOT / path).resolve()
    files = [file for file in files if file not in scope.apart_from and (ROOT / file).is_relative_to(wanted)]
    if not files:
        raise Failure(f"no code at {path} is mutated", remedy)
    return files


def judge(found: Outcome, alive: Sequence[mutant.Mutant], entries: Sequence[survivors.Entry]) -> str:
    """Print the survivors without a reason among `entries`, and return the score.

    Raises Failure when there is one, and when the score is below FLOOR.
    """
    unknown = [one for one in alive if not any(entry.covers(one) for entry in entries)]
    for one in unknown:
        for line in str(one).splitlines():
            say(f"  {line}")
    for entry in entries:
        if not any(map(entry.covers, alive)):
            say(f"  the reason for {entry.was!r} in {entry.file}, {entry.function}, is not needed: remove it")
    score = f"{found.killed} of {found.total} mutants killed ({found.score:.1f} %), {found.alive} survive"
    if unknown:
        raise Failure(
            f"{score}, {len(unknown)} of them without a reason (above)",
            "write a test that fails with it, or add a reason to tests/surviving-mutants.toml (docs/testing.md)",
        )
    if found.score < FLOOR:
        raise Failure(f"{score}, but {FLOOR} % must be killed", "write tests that fail with them")
    return f"{score}: docs/testing.md"


def _scope() -> Scope:
    with (ROOT / "pyproject.toml").open("rb") as file:
        table = tomllib.load(file).get("tool", {}).get("shipshape", {}).get("mutate", {})
    try:
        return msgspec.convert(table, Scope)
    except msgspec.ValidationError as wrong:
        raise Failure(f"pyproject.toml, [tool.shipshape.mutate]: {wrong}") from wrong


def _prepare(files: Sequence[str], scope: Scope) -> None:
    """Copy the work tree into a repository of its own, so that mutants cannot touch this one."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    git.data("clone", "--quiet", "--shared", "--no-checkout", "--", str(ROOT), str(MUTANTS))
    git.data("remote", "remove", "origin", root=MUTANTS)
    sources = sorted({file.partition("/")[0] for file in files})
    for name in filter(None, git.data("ls-files", "-coz", "--exclude-standard").decode().split("\0")):
        if (ROOT / name).is_file():
            # mutmut copies the folders that it mutates itself, and skips files that exist.
            places = [FOLDER] if name.partition("/")[0] in sources else [FOLDER, MUTANTS]
            for place in places:
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, place / name)
    with (FOLDER / "setup.cfg").open("w") as file:
        _settings(files, sources, scope).write(file)


def _settings(files: Sequence[str], sources: Sequence[str], scope: Scope) -> RawConfigParser:
    """Return the configuration of mutmut: https://mutmut.readthedocs.io/en/latest/#configuration."""
    lists = {
        "source_paths": sources,
        "only_mutate": files,
        "do_not_mutate_patterns": scope.words,
        "pytest_add_cli_args_test_selection": ["tests/unit", *(f"--deselect={name}" for name in scope.without)],
    }
    off = dict.fromkeys(("track_dependencies", "use_git_change_detection", "use_setproctitle"), "false")
    config = RawConfigParser()
    config["mutmut"] = {**{name: "\n".join(["", *values]) for name, values in lists.items() if values}, **off}
    return config


def _environment(scratch: Path) -> dict[str, str]:
    """Return an environment in which files that a mutant writes by mistake are discarded."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "GITHUB_", "XDG_"))}
    return {**own, "HOME": str(scratch), "TMPDIR": str(scratch), "GIT_CEILING_DIRECTORIES": str(BUILD)}


def _run(env: Mapping[str, str]) -> None:
    """Run mutmut, with progress every few seconds. Raises Failure when it stops early."""
    # At low priority: it takes a while, and nobody waits for it.
    command = ("nice", "-n", "10", str(TOOLS / "mutmut"), "run", "--max-children", str(os.cpu_count() or 1))
    log: list[str] = []
    with _started(command, env, log) as child:
        begun = time.monotonic()
        while True:
            try:
                child.wait(PATIENCE)
                break
            except subprocess.TimeoutExpired:
                say(f"  {duration(time.monotonic() - begun)}  {_state(log)}")
    found = mutant.outcome(MUTANTS)
    if child.returncode or found.tried < found.total:
        for line in log[-40:]:
            say(f"  {line[:200]}")
        if found.tried:
            raise Failure(f"mutmut stopped after {found.tried} of {found.total} mutants (see above)", "run it again")
        raise Failure("the unit tests fail without any mutant (see above)", "./ship unit")


@contextmanager
def _started(command: Sequence[str], env: Mapping[str, str], log: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program, collect its output in `log` line by line, and stop it when the block raises."""
    child = subprocess.Popen(
        command,
        cwd=FOLDER,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # as in scripts.process
    )
    reader = threading.Thread(target=_keep, args=(child, log))
    reader.start()
    try:
        yield child
    except BaseException:
        stop(child)
        raise
    finally:
        reader.join()


def _keep(child: subprocess.Popen[bytes], log: list[str]) -> None:
    assert child.stdout is not None  # noqa: S101 - PIPE was asked for
    with child.stdout as printed:
        # A carriage return overwrites the line, as on a terminal.
        log.extend(line.decode(errors="replace").rstrip().rpartition("\r")[2] for line in printed)


def _state(log: Sequence[str]) -> str:
    found = mutant.outcome(MUTANTS)
    if not found.tried:
        return "running the unit tests without mutants" if log else "making the mutants"
    return f"{found.tried} of {found.total} mutants tried, {found.alive} survive"
