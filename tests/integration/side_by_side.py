"""What processes that run tests side by side share: a folder, locks in it, and a name for all that they start."""

import fcntl
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.program import run

# The first of them names the run, and the others, which it starts, inherit that.
RUN = os.environ.setdefault("INTEGRATION_RUN", uuid.uuid4().hex)
LABELS = {"shipshape.integration-run": RUN}
"""Of every container that the tests start, so that those of a process that died can be found."""


def is_worker() -> bool:
    """Return whether pytest-xdist started this process to run some of the tests."""
    return "PYTEST_XDIST_WORKER" in os.environ


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """Return the folder for temporary files of all processes of this run."""
    own = factory.getbasetemp()
    return own.parent if is_worker() else own


@contextmanager
def locked(path: Path, *, alone: bool) -> Iterator[None]:
    """Hold the lock `path`: `alone`, or with others that do not want to be alone."""
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


def made_once(path: Path, make: Callable[[Path], object]) -> Path:
    """Let the first process that comes `make` the folder `path`, and return it; what fails half-way is not kept."""
    with locked(path.with_name(f"{path.name}.lock"), alone=True):
        if not path.exists():
            unfinished = path.with_name(f"{path.name}.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            make(unfinished)
            unfinished.rename(path)
    return path


def remove_containers() -> None:
    """Remove the containers of this run that are still there: those of a process that died."""
    [(name, value)] = LABELS.items()
    left = run("docker", "ps", "--all", "--quiet", "--filter", f"label={name}={value}").split()
    if left:
        run("docker", "rm", "--force", "--volumes", *left)
