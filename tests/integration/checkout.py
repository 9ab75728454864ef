"""Clones of this project, in which `./ship` runs like on another machine."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.program import ROOT, run

# What another model is named by: a clone makes the example, unless a test says otherwise.
MODEL = ("SHIP_SOURCE", "SHIP_FILE", "SHIP_TABLE", "SHIP_TARGET", "SHIP_NAME", "SHIP_VERSION")


@dataclass(frozen=True)
class Checkout:
    """A clone of this project at one commit, in its own directory."""

    path: Path

    def ship(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run `./ship ARGUMENTS` in the clone, with the packages of the tests."""
        return subprocess.run(
            [sys.executable, "-m", "scripts", *arguments],
            cwd=self.path,
            env={name: value for name, value in os.environ.items() if name not in MODEL} | environment,
            check=False,
            capture_output=True,
            text=True,
        )

    def count_as_tested(self, digest: str | None = None) -> None:
        """Write the record of passed tests for the built image or `digest`, as `./ship integration` does."""
        for platform in self.image["platforms"]:
            record = self.path / "build" / "tested" / f"{platform.replace('/', '-')}.json"
            record.parent.mkdir(exist_ok=True)
            fields = {"digest": digest or self.image["digest"], "platform": platform, "suite": "tests/integration"}
            record.write_text(json.dumps({**fields, "counts": {"passed": 1, "failed": 0, "skipped": 0}}))

    @property
    def revision(self) -> str:
        return run("git", "rev-parse", "HEAD", cwd=self.path)

    @property
    def image(self) -> dict[str, Any]:
        return dict(json.loads((self.path / "build" / "image.json").read_bytes()))

    @property
    def layout(self) -> Path:
        return self.path / "build" / "image"


def clone_of_the_work_tree(path: Path) -> Checkout:
    """Return a clone of this project with its current files: its commit, or a new one with uncommitted changes."""
    _clone(ROOT, path)
    names = run("git", "ls-files", "-coz", "--exclude-standard").split("\0")
    for name in filter(None, names):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, path / name)
        else:
            (path / name).unlink()
    if run("git", "status", "--porcelain", cwd=path):
        run("git", "add", "--all", cwd=path)
        author = ("-c", "user.name=test", "-c", "user.email=test@example.org")
        run("git", *author, "commit", "--quiet", "--message", "the work tree", cwd=path)
    return Checkout(path)


def build(checkout: Checkout, *options: str, **environment: str) -> Checkout:
    done = checkout.ship("build", *options, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return checkout


def clone(checkout: Checkout, path: Path) -> Checkout:
    """Return a clone of `checkout`, at the same commit, in `path`."""
    _clone(checkout.path, path)
    return Checkout(path)


def _clone(source: Path, path: Path) -> None:
    """Clone `source` and check out its commit as main, a branch that checkouts in workflows lack."""
    run("git", "clone", "--quiet", str(source), str(path))
    run("git", "checkout", "--quiet", "-B", "main", cwd=path)
