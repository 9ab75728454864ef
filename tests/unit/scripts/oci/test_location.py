"""From the name that a person types to a published image."""

import pytest

from scripts.errors import Failure
from scripts.grammar import Digest, Reference, Repository, Tag
from scripts.oci import registry
from scripts.oci.location import locate, parse_references

HUB, GHCR = Repository("docker.io/me/x"), Repository("ghcr.io/me/x")
BOTH = (HUB, GHCR)
ONE, TWO = Digest(f"sha256:{1:064}"), Digest(f"sha256:{2:064}")


@pytest.fixture(autouse=True)
def registries(monkeypatch: pytest.MonkeyPatch) -> dict[str, Digest]:
    """What two repositories hold, by reference."""
    held: dict[str, Digest] = {}
    monkeypatch.setattr(registry, "digest", lambda asked: held.get(f"{asked.repository}:{asked.tag}", asked.digest))
    return held


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1.4.0", [f"{HUB}:1.4.0", f"{GHCR}:1.4.0"]),
        (ONE, [f"{HUB}@{ONE}", f"{GHCR}@{ONE}"]),
        (f"1.4.0@{ONE}", [f"{HUB}:1.4.0@{ONE}", f"{GHCR}:1.4.0@{ONE}"]),
        ("localhost:5001/x:1.4.0", ["localhost:5001/x:1.4.0"]),
        (f"{GHCR}:1.4.0@{ONE}", [f"{GHCR}:1.4.0@{ONE}"]),
    ],
)
def test_a_tag_or_a_digest_stands_for_every_repository_and_a_reference_for_itself(text: str, found: list[str]) -> None:
    assert parse_references(text, BOTH) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1.0.0",
        "--help",
        "\uff11.0.0",
        "1.0.0 ",
        "1.0.0\n",
        "a b",
        "x" * 129,
        "house-price:1.0.0",
        "sha256:1234",
        f"{ONE}0",
        ONE.upper(),
        "1.0.0@",
        "1.0.0@sha256:12",
        f"@{ONE}",
        "docker.io/me/x",
        "docker.io/me/x:",
        "docker.io/me/x:\uff11.0.0",
        "docker.io/Me/x:1.0.0",
        "docker.io/me/x@1.0.0",
        "docker.io/me/x:1.0.0@sha256:12",
        f"docker.io/me/x@{ONE}@{ONE}",
        "me/x:1.0.0",
        "/x:1.0.0",
        "-x.io/x:1.0.0",
        "docker.io/../x:1.0.0",
        "docker://docker.io/me/x:1.0.0",
        f"docker.io/{'x' * 250}:1.0.0",
    ],
)
def test_a_text_that_names_no_image_is_refused(text: str) -> None:
    with pytest.raises(Failure, match=r"the image: .* is not a") as refused:
        parse_references(text, BOTH)

    assert "name a tag" in refused.value.remedy


def test_the_parts_of_a_reference() -> None:
    both = Reference(f"localhost:5001/me/x:1.0.0@{ONE}")

    assert (both.repository, both.tag, both.digest) == ("localhost:5001/me/x", "1.0.0", ONE)
    assert both.repository.registry == "localhost:5001"
    assert (Reference(f"{HUB}:1").digest, Reference(f"{HUB}@{ONE}").tag) == (None, None)
    assert (HUB.at(Tag("1.0.0")), HUB.at(ONE)) == (f"{HUB}:1.0.0", f"{HUB}@{ONE}")


@pytest.mark.parametrize("name", ["me/x", "x", "localhostess/x", "GHCR/x", "docker.io", "docker.io/", "a.b//x"])
def test_a_repository_needs_its_registry(name: str) -> None:
    """Docker, skopeo and cosign look for `me/x` on Docker Hub; here `me` would be the registry."""
    assert not Repository.matches(name)


@pytest.mark.parametrize("name", ["localhost/x", "localhost:5001/x", "hub:80/x", "GHCR.io/a_b/c__d/e-f", "10.0.0.1/x"])
def test_a_registry_is_localhost_or_has_a_dot_or_a_port(name: str) -> None:
    assert Repository.matches(name)


def test_the_same_image_in_every_registry_is_located(registries: dict[str, Digest]) -> None:
    registries.update({f"{HUB}:1.4.0": ONE, f"{GHCR}:1.4.0": ONE})

    found = locate("1.4.0", BOTH)

    assert (found.repositories, found.digest, found.tag) == ((HUB, GHCR), ONE, "1.4.0")
    assert found.reference == f"{HUB}@{ONE}"
    assert locate(ONE, BOTH).tag is None


@pytest.mark.parametrize("text", ["9.9.9", f"9.9.9@{ONE}"])
def test_a_tag_that_no_registry_has_is_not_found(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(registry, "digest", lambda asked: None if asked.tag else asked.digest)

    with pytest.raises(Failure, match=r"not found: docker.io/me/x:9\.9\.9.* and ghcr.io/me/x:9\.9\.9") as missing:
        locate(text, BOTH)
    assert missing.value.remedy == "./ship publish"
    with pytest.raises(Failure, match=r"not found: docker.io/them/x:9\.9\.9") as missing:
        locate(f"docker.io/them/x:{text}", BOTH)
    assert missing.value.remedy == "", "nobody here can publish it"


def test_a_tag_that_one_registry_lacks_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "digest", lambda asked: ONE if asked.repository == HUB else None)

    with pytest.raises(Failure, match=r"not found: ghcr.io/me/x:1\.4\.0$"):
        locate("1.4.0", BOTH)


def test_registries_that_disagree_are_an_error(registries: dict[str, Digest]) -> None:
    registries.update({f"{HUB}:1.4.0": ONE, f"{GHCR}:1.4.0": TWO})

    with pytest.raises(Failure, match=f"disagree: {HUB}:1.4.0 is {ONE}; {GHCR}:1.4.0 is {TWO}"):
        locate("1.4.0", BOTH)


@pytest.mark.parametrize("text", [f"1.4.0@{TWO}", f"{HUB}:1.4.0@{TWO}"])
def test_a_tag_and_a_digest_must_agree(registries: dict[str, Digest], text: str) -> None:
    registries.update({f"{HUB}:1.4.0": ONE, f"{GHCR}:1.4.0": ONE})

    with pytest.raises(Failure, match=f"{HUB}:1.4.0@{TWO} does not exist: the registry has {ONE}"):
        locate(text, BOTH)


def test_a_registry_that_sends_another_image_for_a_digest_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "digest", lambda _: TWO)

    with pytest.raises(Failure, match=f"{HUB}@{ONE} does not exist: the registry has {TWO}"):
        locate(ONE, BOTH)
