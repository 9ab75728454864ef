"""Fixtures of the integration tests: real registries, and the built image pulled from one by digest.

Nothing is imported from the project: tests work from outside, over HTTP, the registry protocol and `./ship`.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.checkout import Checkout, build, clone_of_the_work_tree
from tests.integration.container import EMULATED_START_SECONDS, START_SECONDS, native_platform
from tests.integration.program import ROOT
from tests.integration.registry import Registry, pulled, started_registry
from tests.integration.service import Service, started_service
from tests.integration.side_by_side import is_worker, locked, made_once, remove_containers, shared_folder

# Modules that take a minute and more, the longest first: begun last, one of them would keep everybody waiting. The
# second needs no build, and runs while the first waits for that.
LONG = ("test_killed", "test_scan", "test_reproduce", "test_publish", "test_other_model", "test_promote", "test_verify")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Skip slow tests unless they are named."""
    return True if collection_path.name == "nightly" and "nightly" not in " ".join(config.args) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long; the order is the same in every process."""
    place = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONG)))


def pytest_sessionfinish() -> None:
    """Clean up for a process that was killed, and could not."""
    if not is_worker():
        remove_containers()


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lock on this machine's attention."""
    return shared_folder(tmp_path_factory) / "machine.lock"


@pytest.fixture(autouse=True)
def alone(machine: Path, request: pytest.FixtureRequest) -> Iterator[None]:
    """Nothing else runs beside a test that is marked `alone`, because it measures how long something takes."""
    with locked(machine, alone=request.node.get_closest_marker("alone") is not None):
        yield


@pytest.fixture(scope="session", autouse=True)
def committer() -> Iterator[None]:
    """An identity for commits, and no variables of a hook that select another repository."""
    with pytest.MonkeyPatch.context() as environment:
        for variable in [name for name in os.environ if re.match("GIT_(?!CONFIG)", name)]:
            environment.delenv(variable)
        for role in ("AUTHOR", "COMMITTER"):
            environment.setenv(f"GIT_{role}_NAME", "Ada")
            environment.setenv(f"GIT_{role}_EMAIL", "ada@example.org")
        yield


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    with started_registry() as registry:
        yield registry


@pytest.fixture(scope="session")
def second_registry() -> Iterator[Registry]:
    with started_registry() as registry:
        yield registry


@pytest.fixture(scope="session")
def built() -> dict[str, Any]:
    """The record of `./ship build`."""
    return dict(json.loads((ROOT / "build" / "image.json").read_bytes()))


@pytest.fixture(scope="session")
def platform() -> str:
    """The platform under test. Everything is slow when it is not that of the machine."""
    return os.environ["IMAGE_PLATFORM"]


@pytest.fixture(scope="session")
def candidate(registry: Registry, built: dict[str, Any], platform: str) -> Iterator[str]:
    """The built image by digest."""
    with pulled(registry, ROOT / "build" / "image", str(built["digest"]), platform) as reference:
        yield reference


@pytest.fixture(scope="session")
def service(candidate: str, platform: str) -> Iterator[Service]:
    seconds = START_SECONDS if platform == native_platform() else EMULATED_START_SECONDS
    with started_service(candidate, platform=platform, seconds=seconds) as service:
        yield service


@pytest.fixture(scope="session")
def shared_checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The clone that every process starts from: one commit, so that all of them build the same image."""
    return Checkout(made_once(shared_folder(tmp_path_factory) / "checkout", clone_of_the_work_tree))


@pytest.fixture(scope="session")
def checkout(shared_checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A clone of this project, without an image."""
    return Checkout(shutil.copytree(shared_checkout.path, tmp_path_factory.mktemp("first") / "shipshape"))


@pytest.fixture(scope="session")
def built_checkout(shared_checkout: Checkout, machine: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """That clone, with its image built from nothing, and scanned."""

    def make(path: Path) -> None:
        checkout = Checkout(shutil.copytree(shared_checkout.path, path))
        with locked(machine, alone=False):
            build(checkout, "--no-cache")
            done = checkout.ship("scan", "--allow-unchecked")
        assert done.returncode == 0, done.stdout + done.stderr

    shared = made_once(shared_folder(tmp_path_factory) / "built", make)
    return Checkout(shutil.copytree(shared, tmp_path_factory.mktemp("built") / "shipshape"))
