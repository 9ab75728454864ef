"""`./ship lint`: every file that a tool can read is read by one, offline, and all findings are shown at once."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from scripts import PYTHON, ROOT
from scripts.console import say
from scripts.errors import Failure
from scripts.process import TOOLS
from scripts.requirements import LOCKS, compile_lock


@dataclass(frozen=True)
class Linter:
    """A program, and the files that it reads."""

    command: tuple[str, ...]
    reads: tuple[str, ...]
    """Its files, from the top: in these patterns, `*` stands for slashes, too."""
    everything: tuple[str, ...] | None = None
    """What it is given to read all of them, where that is not each by its name."""


# Of other people, as their pages have them.
FOREIGN = ("scripts/bench/peers/*", "scripts/bench/programs/*")
_MODULES = tuple(f"{folder}/*.py" for folder in PYTHON)
_SCHEMA = ("check-jsonschema", "--builtin-schema")
_WORKFLOWS, _ACTIONS = ".github/workflows/*.yml", ".github/actions/*/action.yml"
LINTERS = {
    "hadolint": Linter(
        ("hadolint", "--no-color", "--failure-threshold", "style"), ("Dockerfile", "scripts/host/base.Dockerfile")
    ),
    "ruff check": Linter(("ruff", "check", "--quiet"), _MODULES, PYTHON),
    "ruff format": Linter(("ruff", "format", "--quiet", "--diff"), _MODULES, PYTHON),
    "mypy": Linter(("mypy",), _MODULES, ()),
    "yamllint": Linter(("yamllint", "--strict"), ("*.yml", "*.yaml"), (".",)),
    "workflows": Linter((*_SCHEMA, "vendor.github-workflows"), (_WORKFLOWS,)),
    "actions": Linter((*_SCHEMA, "vendor.github-actions"), (_ACTIONS,)),
    "workflow rules": Linter(
        ("check-jsonschema", "--schemafile", ".github/workflow-rules.json"), (_WORKFLOWS, _ACTIONS)
    ),
    "zizmor": Linter(("zizmor", "--offline", "--quiet", "--pedantic"), (_WORKFLOWS, _ACTIONS), (".github",)),
    "compose": Linter((*_SCHEMA, "vendor.compose-spec"), ("compose.yaml",)),
    "shellcheck": Linter(("shellcheck",), ("ship", ".ci/run", "image/*.sh")),
}


def lint(files: Sequence[str] = ()) -> str:
    """Run every check, or on `files` alone those that are for them, and show what each found.

    Raises Failure that names the checks that found something, and for a file that does not exist.
    """
    checks = _checks(list(dict.fromkeys(map(_from_the_top, files))))
    if not checks:
        return "no linter is for these files"
    failed = []
    with ThreadPoolExecutor(max_workers=2) as pool:
        for name, text in zip(checks, pool.map(lambda check: check(), checks.values()), strict=True):
            say(f"  {'found' if text else 'clean'}  {name}")
            if text:
                failed.append(name)
            for line in text.splitlines():
                say(line)
    if failed:
        raise Failure(f"findings in {', '.join(failed)}", "mend them; ./ship format and ./ship lock write files anew")
    return f"{len(checks)} checks clean"


def _checks(files: Sequence[str]) -> dict[str, Callable[[], str]]:
    """Return the checks of `files`, or of everything, by their names: each returns what it found."""
    checks: dict[str, Callable[[], str]] = {}
    for name, linter in LINTERS.items():
        if given := _given(linter, files) if files else _everything(linter):
            checks[name] = partial(_check, given)
    if not files or "Dockerfile" in files:
        checks["pins"] = lambda: "\n".join(unpinned((ROOT / "Dockerfile").read_text()))
    for name in LOCKS:
        if not files or name in files or "pyproject.toml" in files:
            checks[f"lock {name}"] = partial(_out_of_step, name)
    return checks


def _everything(linter: Linter) -> tuple[str, ...]:
    found = linter.everything
    if found is None:
        found = tuple(str(path.relative_to(ROOT)) for pattern in linter.reads for path in sorted(ROOT.glob(pattern)))
    return (*linter.command, *found)


def _given(linter: Linter, files: Sequence[str]) -> tuple[str, ...]:
    """Return how `linter` is run on those of `files` that are for it; nothing when none is."""
    own = [file for file in files if _matches(file, linter.reads) and not _matches(file, FOREIGN)]
    return (*linter.command, *own) if own else ()


def _matches(file: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(file, pattern) for pattern in patterns)


def _from_the_top(file: str) -> str:
    """Return the path of `file` from the top of this checkout. Raises Failure when it is not there."""
    path = ROOT / file
    if not path.is_file() or not path.resolve().is_relative_to(ROOT):
        raise Failure(f"there is no file {file} in {ROOT}", "name files from the top of this repository")
    return Path(os.path.relpath(path, ROOT)).as_posix()


def unpinned(dockerfile: str) -> list[str]:
    """Return a finding for each image in `dockerfile` that a registry could change under its name.

    What a FROM or a COPY --from names must be an earlier stage, `scratch`, or an image by digest; an ARG stands for
    its default.
    """
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)", dockerfile, re.MULTILINE))
    stages = {"scratch", *re.findall(r"^FROM .+ AS (\S+)", dockerfile, re.MULTILINE | re.IGNORECASE)}
    findings = []
    for number, line in enumerate(dockerfile.splitlines(), 1):
        found = re.match(r"FROM (?:--\S+ )*(\S+)", line, re.IGNORECASE) or re.search(r"from=([^\s,]+)", line)
        if not found:
            continue
        image = re.sub(r"\$\{?(\w+)\}?", lambda name: arguments.get(name[1], name[0]), found[1])
        if image not in stages and not re.search(r"@sha256:[0-9a-f]{64}$", image):
            findings.append(f"Dockerfile:{number} {image} is not pinned: name it as image:tag@sha256:…")
    return findings


def _check(command: tuple[str, ...]) -> str:
    """Return what `command` has to say, nothing when it is content."""
    program = TOOLS / command[0] if (TOOLS / command[0]).exists() else shutil.which(command[0])
    if not program:
        return f"{command[0]} has no wheel for this machine, and is not installed: apt-get install {command[0]}"
    arguments = [str(program), *command[1:]]
    done = subprocess.run(arguments, cwd=ROOT, check=False, capture_output=True, text=True)
    return (done.stdout + done.stderr).strip() or "failed without a word" if done.returncode else ""


def _out_of_step(name: str) -> str:
    """Return a finding when the lock file `name` is not what pyproject.toml asks for."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder, Path(name).name)
        shutil.copy(ROOT / name, fresh)
        try:
            compile_lock(name, fresh)
        except Failure as failure:
            return f"{name}: {failure.reason}"
        same = fresh.read_bytes() == (ROOT / name).read_bytes()
    return "" if same else f"{name} is not in step with pyproject.toml: ./ship lock"
