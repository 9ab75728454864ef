"""The image on a base with the layout of the official one: Python in /usr/local, unknown to dpkg.

Where the base image was pulled it is the official one, and every test runs on it. Elsewhere it was made of Debian's
packages, and a stand-in is built for this: official.Dockerfile.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.integration.checkout import Checkout, build, clone_of_the_work_tree
from tests.integration.program import run
from tests.integration.registry import Registry, push

STAND_IN = "shipshape/python:official-layout"


@pytest.fixture(scope="module")
def base() -> str:
    if not os.environ["SHIP_PYTHON_IMAGE"].startswith("shipshape/"):
        pytest.skip(f"{os.environ['SHIP_PYTHON_IMAGE']} is the official base: all other tests ran on it")
    arguments = ("--build-arg", f"PYTHON_IMAGE={os.environ['SHIP_PYTHON_IMAGE']}", "--provenance=false", "--load")
    recipe = Path(__file__).with_name("official.Dockerfile")
    run("docker", "buildx", "build", *arguments, f"--tag={STAND_IN}", f"--file={recipe}", str(recipe.parent))
    return STAND_IN


@pytest.fixture(scope="module")
def project(base: str, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A clone with the image on that base, scanned."""
    project = build(clone_of_the_work_tree(tmp_path_factory.mktemp("official") / "shipshape"), SHIP_PYTHON_IMAGE=base)
    ship(project, "scan", "--allow-unchecked")
    return project


def ship(project: Checkout, *arguments: str, **environment: str) -> str:
    done = project.ship(*arguments, SHIP_PYTHON_IMAGE=STAND_IN, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def packages(project: Checkout) -> set[str]:
    components = json.loads((project.path / "build/sbom.cdx.json").read_bytes())["components"]
    return {str(component["name"]) for component in components}


def test_the_tests_of_the_image_pass(project: Checkout) -> None:
    assert " 0 failed" in ship(project, "integration", "--only", "image").splitlines()[-1]


def test_python_is_in_the_bill_of_materials(project: Checkout) -> None:
    listed = packages(project)

    assert {"CPython", "numpy", "libssl3t64"} <= listed
    assert not listed & {"python3.13", "apt", "perl-base"}


def test_the_image_is_hardly_larger(project: Checkout, built: dict[str, int]) -> None:
    """Files that the official image deletes to save space do not come back."""
    assert project.image["size"] < 1.1 * built["size"]


def test_the_image_is_reproducible(project: Checkout, registry: Registry) -> None:
    repository = f"{registry.host}/official/house-price"
    push(project.layout, f"{repository}:{project.image['version']}")

    last = ship(project, "reproduce", project.image["version"], SHIP_REGISTRIES=repository).splitlines()[-1]

    assert f"is {project.image['digest']}, and so is what" in last


def test_a_base_without_a_kept_package_is_refused(base: str, project: Checkout) -> None:
    lacking = f"{STAND_IN}-lacking"
    recipe = f"FROM {base}\nRUN sed -i 's/^Package: libsqlite3-0$/Package: other/' /var/lib/dpkg/status\n"
    arguments = ("--provenance=false", "--load", f"--tag={lacking}", "-")
    subprocess.run(["docker", "buildx", "build", *arguments], input=recipe.encode(), check=True, capture_output=True)
    try:
        done = project.ship("build", SHIP_PYTHON_IMAGE=lacking)
    finally:
        run("docker", "image", "rm", lacking)

    assert done.returncode == 1
    assert "the base image has no package libsqlite3-0, which image/base.sh keeps" in done.stdout + done.stderr
