"""What the tests of publishing stand on."""

import shutil
from pathlib import Path

import pytest

from tests.integration.checkout import Checkout, count_as_tested


@pytest.fixture
def project(built_checkout: Checkout, tmp_path: Path) -> Checkout:
    """A checkout with a built image that counts as tested, to do as one likes with."""
    shutil.copytree(built_checkout.path, tmp_path / "project")
    project = Checkout(tmp_path / "project")
    count_as_tested(project, project.image["digest"])
    return project
