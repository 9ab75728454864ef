"""What the integration tests stand on: real registries, and the built image pulled from one of them by its digest.

Nothing is imported from the project: everything is asked from outside, over HTTP, the registry's protocol and `./ship`.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.checkout import Checkout, build, clone_of_the_work_tree
from tests.integration.program import ROOT
from tests.integration.registry import Registry, pulled, started_registry
from tests.integration.service import Service, started_service


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
    """What `./ship build` says it made."""
    return dict(json.loads((ROOT / "build" / "image.json").read_bytes()))


@pytest.fixture(scope="session")
def candidate(registry: Registry, built: dict[str, Any]) -> Iterator[str]:
    """The built image, by its digest."""
    with pulled(registry, ROOT / "build" / "image", str(built["digest"])) as reference:
        yield reference


@pytest.fixture(scope="session")
def service(candidate: str) -> Iterator[Service]:
    with started_service(candidate) as service:
        yield service


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return clone_of_the_work_tree(tmp_path_factory.mktemp("first") / "shipshape")


@pytest.fixture(scope="session")
def built_checkout(checkout: Checkout) -> Checkout:
    """That clone, with its image built from nothing, and scanned."""
    build(checkout, "--no-cache")
    done = checkout.ship("scan", "--allow-unchecked")
    assert done.returncode == 0, done.stdout + done.stderr
    return checkout
