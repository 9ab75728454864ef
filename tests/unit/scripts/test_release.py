"""Which tags a release takes, and where it goes."""

import pytest

from scripts import registry
from scripts.failure import Failure
from scripts.release import moving_tags


@pytest.mark.parametrize(
    ("released", "there", "moved"),
    [
        ("1.0.0", [], ["1.0", "1", "latest"]),
        ("1.0.0", ["1.0.0", "1.0", "1", "latest", "sha-abc"], ["1.0", "1", "latest"]),
        ("1.2.1", ["1.2.0"], ["1.2", "1", "latest"]),
        ("1.2.1", ["1.3.0"], ["1.2"]),
        ("1.2.1", ["2.0.0"], ["1.2", "1"]),
        ("1.2.1", ["1.2.2"], []),
        ("1.10.0", ["1.9.0"], ["1.10", "1", "latest"]),
        ("2.0.0rc1", [], []),
        ("1.0.0", ["2.0.0rc1", "not.a.version"], ["1.0", "1", "latest"]),
    ],
)
def test_moving_tags_only_move_forward(released: str, there: list[str], moved: list[str]) -> None:
    assert moving_tags(released, there) == moved


def test_without_registries_two_local_ones_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REGISTRIES", raising=False)

    assert registry.repositories() == ["localhost:5001/house-price", "localhost:5002/house-price"]


@pytest.mark.parametrize("named", ["docker.io/me/x ghcr.io/Me/x", " docker.io/me/x,\n ghcr.io/me/x "])
def test_registries_are_separated_by_spaces_or_commas_and_in_lower_case(
    monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setenv("REGISTRIES", named)

    assert registry.repositories() == ["docker.io/me/x", "ghcr.io/me/x"]


def test_empty_registries_are_a_mistake_not_the_local_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRIES", " ")

    with pytest.raises(Failure, match="REGISTRIES"):
        registry.repositories()


@pytest.mark.parametrize(
    "words",
    [
        # skopeo 1.9 (Debian 12) and 1.18 (Debian 13), of a tag and of a repository
        "reading manifest 1.0.0 in localhost:5001/house-price: manifest unknown: manifest unknown",
        "reading manifest latest in localhost:5001/house-price: name unknown: repository name not known to registry",
        "Error listing repository tags: fetching tags list: repository name not known to registry",
        "requested access to the resource is denied",
    ],
)
def test_what_is_not_there_yet_is_told_from_a_registry_that_is_down(words: str) -> None:
    assert registry.ABSENT.search(words)
    assert not registry.ABSENT.search("pinging container registry localhost:5001: connect: connection refused")
