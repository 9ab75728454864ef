"""Which release `./ship reproduce` rebuilds when none is named, and the variables of that rebuild."""

from pathlib import Path

import pytest

from scripts import shipment
from scripts.errors import Failure
from scripts.grammar import Platform, Revision, Version
from scripts.host import engine
from scripts.stages import reproduce
from scripts.stages.reproduce import Origin
from tests.unit.scripts.repository import Repository


@pytest.fixture(autouse=True)
def here(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clone at version 9.9.9, and registries that have no image."""

    def nowhere(wanted: str, _repositories: object) -> None:
        raise Failure(f"not found: {wanted}")

    monkeypatch.setattr(shipment, "root", lambda: repository.path)
    monkeypatch.setattr(shipment, "repositories", list)
    monkeypatch.setattr(shipment, "version", lambda: Version("9.9.9"))
    monkeypatch.setattr(reproduce, "locate", nowhere)


@pytest.mark.parametrize(
    ("tags", "last"),
    [
        (["v1.0.0"], "1.0.0"),
        (["v1.9.0", "v1.10.0", "v1.2.0"], "1.10.0"),
        (["v1.0.0", "v2.0.0rc1"], "1.0.0"),
        (["v1.0.0", "vv2.0.0", "v2", "v2.0", "2.0.0", "v2.0.0-x", "version3.0.0"], "1.0.0"),
    ],
)
def test_the_last_release_is_the_newest_with_a_tag(repository: Repository, tags: list[str], last: str) -> None:
    for tag in tags:
        repository.git("tag", tag)

    with pytest.raises(Failure, match=f"^not found: {last}$"):
        reproduce.reproduce(last=True)


def test_before_the_first_release_there_is_nothing_to_rebuild(repository: Repository) -> None:
    repository.git("tag", "v1.0.0rc1")

    assert reproduce.reproduce(last=True) == "there is no release yet, so nothing to rebuild"


@pytest.mark.parametrize(("reference", "last"), [("1.2.3", True), ("1.2.3", False), ("", False)])
def test_a_named_release_comes_before_the_last_one(
    repository: Repository,
    reference: str,
    last: bool,  # noqa: FBT001
) -> None:
    repository.git("tag", "v1.0.0")

    with pytest.raises(Failure, match=f"^not found: {reference or '9.9.9'}$"):
        reproduce.reproduce(reference, last=last)


@pytest.mark.parametrize(
    ("has_file", "stated"),
    [
        (True, {"SHIP_TABLE": "wines.csv", "SHIP_VERSION": "1.4.0", "SHIP_SOURCE": "source"}),
        (False, {"DATA": "wines.csv", "VERSION": "1.4.0", "SOURCE": "source", "PYTHON_IMAGE": "mirror/python"}),
    ],
)
def test_a_rebuild_gets_the_variables_that_its_commit_knows(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    has_file: bool,  # noqa: FBT001
    stated: dict[str, str],
) -> None:
    (tmp_path / "checkout").mkdir()
    if has_file:
        (tmp_path / "checkout/ship.toml").touch()
    runs: list[dict[str, str | None]] = []
    monkeypatch.setattr(reproduce, "_checkout", lambda _clone, _revision, path: path)
    monkeypatch.setattr(reproduce, "run", lambda *_, env, **__: runs.append(env))
    monkeypatch.setattr(engine, "platform", lambda: Platform("linux/amd64"))
    monkeypatch.setenv("SHIP_PYTHON_IMAGE", "mirror/python")  # reaches the rebuild by itself, as far as it knows it
    revision = Revision("a" * 40)
    model = {"SHIP_TABLE": "wines.csv", "SHIP_VERSION": "1.4.0"}

    reproduce._rebuilt(Origin(revision, "onnx", [Platform("linux/amd64")], revision, model), tmp_path)

    [env] = runs
    assert {name: value for name, value in env.items() if value is not None} == {
        name: value if value != "source" else str(tmp_path / "source") for name, value in stated.items()
    }
