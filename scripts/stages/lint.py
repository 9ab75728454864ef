"""`./ship lint`: every file that a tool can read is read by one, offline, and all findings are shown at once."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from scripts import ROOT
from scripts.console import say
from scripts.errors import Failure
from scripts.process import TOOLS
from scripts.requirements import LOCKS, compile_lock

PYTHON = ("app", "training", "scripts", "tests")
SHELL = ("ship", ".ci/run", "image/base.sh")
FILES = {"WORKFLOWS": ".github/workflows/*.yml", "ACTIONS": ".github/actions/*/action.yml"}
CHECKS: dict[str, tuple[str, ...]] = {
    "hadolint": (
        "hadolint",
        "--no-color",
        "--failure-threshold",
        "style",
        "Dockerfile",
        "scripts/host/base.Dockerfile",
    ),
    "ruff check": ("ruff", "check", "--quiet", *PYTHON),
    "ruff format": ("ruff", "format", "--quiet", "--diff", *PYTHON),
    "mypy": ("mypy",),
    "yamllint": ("yamllint", "--strict", "."),
    "workflows": ("check-jsonschema", "--builtin-schema", "vendor.github-workflows", "WORKFLOWS"),
    "actions": ("check-jsonschema", "--builtin-schema", "vendor.github-actions", "ACTIONS"),
    "workflow rules": ("check-jsonschema", "--schemafile", ".github/workflow-rules.json", "WORKFLOWS", "ACTIONS"),
    "zizmor": ("zizmor", "--offline", "--quiet", "--pedantic", ".github"),
    "compose": ("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml"),
    "shellcheck": ("shellcheck", *SHELL),
}


def lint() -> str:
    """Run every check, and show what each found. Raises Failure that names the checks that found something."""
    checks: dict[str, Callable[[], str]] = {name: partial(_check, command) for name, command in CHECKS.items()}
    checks["pins"] = lambda: "\n".join(unpinned((ROOT / "Dockerfile").read_text()))
    checks |= {f"lock {name}": partial(_out_of_step, name) for name in LOCKS}
    failed = []
    with ThreadPoolExecutor(max_workers=2) as pool:
        for name, text in zip(checks, pool.map(lambda check: check(), checks.values()), strict=True):
            say(f"  {'found' if text else 'clean'}  {name}")
            if text:
                say(text)
                failed.append(name)
    if failed:
        raise Failure(f"findings in {', '.join(failed)}", "mend them; `ruff format` and `./ship lock` write files anew")
    return f"{len(checks)} checks clean"


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
    arguments = [str(program)]
    for word in command[1:]:
        arguments += sorted(map(str, ROOT.glob(FILES[word]))) if word in FILES else [word]
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
