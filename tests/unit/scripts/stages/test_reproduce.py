"""Which release `./ship reproduce` rebuilds when none is named."""

import pytest

from scripts import shipment
from scripts.errors import Failure
from scripts.grammar import Version
from scripts.stages import reproduce
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
