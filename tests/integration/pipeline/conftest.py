"""A project with a built image that tests may change."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.checkout import Checkout
from tests.integration.program import run


@pytest.fixture(scope="session", autouse=True)
def own_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder for the key of `./ship` in these tests, instead of that of the user."""
    with pytest.MonkeyPatch.context() as environment:
        home = tmp_path_factory.mktemp("config")
        environment.setenv("XDG_CONFIG_HOME", str(home))
        yield home / "shipshape" / "cosign.key"


@pytest.fixture
def project(built_checkout: Checkout, tmp_path: Path) -> Checkout:
    """A checkout with a built image that counts as tested, which a test may change."""
    shutil.copytree(built_checkout.path, tmp_path / "project")
    project = Checkout(tmp_path / "project")
    project.count_as_tested()
    return project


@pytest.fixture
def other(built_checkout: Checkout, tmp_path: Path) -> Path:
    """The layout of another image: the same layers under a changed label."""
    layout = tmp_path / "other"
    shutil.copytree(built_checkout.layout, layout)
    run("skopeo", "--insecure-policy", "copy", "--quiet", "--format=v2s2", f"oci:{layout}", f"dir:{tmp_path / 'dir'}")
    shutil.rmtree(layout)
    run("skopeo", "--insecure-policy", "copy", "--quiet", f"dir:{tmp_path / 'dir'}", f"oci:{layout}:other")
    return layout


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> str:
    """A repository for one test."""
    return f"{request.node.name.replace('_', '-')[:60].strip('-')}/house-price"
