"""What a workflow is told about what is shipped: where it is published, and for which platforms."""

import os
import subprocess
from pathlib import Path

import pytest

from scripts import shipment
from scripts.errors import Failure
from scripts.grammar import Version
from scripts.stages import publish
from scripts.stages import shipment as stage

STATED = """
name = "wine-quality"
version = "1.4.0"
table = "wines.csv"
target = "quality"
"""
REGISTRIES = 'registries = ["docker.io/me/wine", "ghcr.io/me/wine"]\n'


@pytest.fixture
def wines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of another repository's checkout, as a workflow has it: no variable says more than nothing."""
    root = tmp_path / "wines"
    root.mkdir()
    (root / "wines.csv").write_text("acidity,quality\n1,2\n")
    author = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    for command in (["init", "--quiet"], ["add", "--all"], [*author, "commit", "--quiet", "--message", "first"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    for variable in [name for name in os.environ if name.startswith(("SHIP_", "GITHUB_"))]:
        monkeypatch.delenv(variable)
    for variable in ("SHIP_REGISTRIES", "SHIP_PLATFORMS"):
        monkeypatch.setenv(variable, "")
    monkeypatch.setenv("SHIP_SOURCE", str(root))
    monkeypatch.setenv("SHIP_FILE", "ship.toml")
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    (root / "ship.toml").write_text(STATED + REGISTRIES)
    return root / "ship.toml"


@pytest.mark.usefixtures("wines")
def test_later_steps_are_told_where_the_image_is_published(tmp_path: Path) -> None:
    assert stage.show() == "wine-quality 1.4.0"
    assert (tmp_path / "output").read_text() == "registries=docker.io/me/wine ghcr.io/me/wine\n"


@pytest.mark.usefixtures("wines")
def test_a_variable_takes_the_place_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHIP_REGISTRIES", " ghcr.io/Me/other")
    stage.show()

    assert (tmp_path / "output").read_text() == "registries=ghcr.io/me/other\n"


def test_a_person_sees_what_is_shipped(wines: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wines.write_text(STATED + REGISTRIES + 'platforms = ["linux/arm64"]\n')
    stage.show()

    shown = capsys.readouterr().out
    assert all(
        said in shown for said in (str(wines.with_name("wines.csv")), "quality", "ghcr.io/me/wine", "linux/arm64")
    )


@pytest.mark.usefixtures("wines")
def test_what_is_not_stated_is_the_platform_of_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    stage.show()

    assert shipment.platforms() == ()
    assert "that of this machine" in capsys.readouterr().out


def test_platforms_have_one_order_wherever_they_are_stated(wines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the order of the index: another one would be another digest."""
    wines.write_text(STATED + 'platforms = ["linux/arm64", "linux/amd64", "linux/arm64"]\n')
    assert shipment.platforms() == ("linux/amd64", "linux/arm64")

    monkeypatch.setenv("SHIP_PLATFORMS", "linux/arm64, linux/amd64")
    wines.write_text(STATED)
    assert shipment.platforms() == ("linux/amd64", "linux/arm64")


def test_a_platform_that_is_not_supported_is_refused_where_it_is_stated(
    wines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wines.write_text(STATED + 'platforms = ["linux/riscv64"]\n')
    with pytest.raises(Failure, match=r"^platforms, in ship\.toml: 'linux/riscv64': not "):
        stage.show()

    monkeypatch.setenv("SHIP_PLATFORMS", "linux/s390x")
    with pytest.raises(Failure, match=r"^SHIP_PLATFORMS: 'linux/s390x': not "):
        stage.show()


def test_on_github_a_registry_has_to_be_stated(wines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two local ones would end with the runner: green, and nothing published."""
    monkeypatch.setattr(publish, "check_publishable", lambda: Version("1.4.0"))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_REPOSITORY", "Me/Wines")
    wines.write_text(STATED)

    with pytest.raises(Failure, match="nothing says where to publish") as refused:
        publish.check()
    assert "ghcr.io/me/wines" in refused.value.remedy

    wines.write_text(STATED + REGISTRIES)
    assert publish.check() == "1.4.0 may go to docker.io/me/wine and ghcr.io/me/wine"
