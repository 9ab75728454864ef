"""What a tag may point to, and which tags follow the newest release."""

import pytest

from scripts.errors import Failure
from scripts.grammar import Digest, Revision, Tag, Version
from scripts.oci import tags
from scripts.oci.labels import Release

REVISION = Revision("a" * 40)


def release(version: str) -> Release:
    return Release(Version(version), Digest(f"sha256:{1:064}"), REVISION)


@pytest.mark.parametrize(
    ("tag", "version"),
    [
        ("1.0.3", "1.0.3"),
        ("1.0.3rc1", "1.0.3rc1"),
        ("1.0", "1.0.3"),
        ("1", "1.0.3"),
        ("latest", "1.0.3"),
        ("latest", "0.9.9"),
        ("0.9", "0.9.9"),
        ("10", "10.0.0"),
        (f"sha-{REVISION}", "1.0.3rc1"),
        ("tried-by-ada", "1.0.3rc1"),
    ],
)
def test_a_tag_may_point_to_what_it_promises(tag: str, version: str) -> None:
    tags.check(Tag(tag), release(version))


@pytest.mark.parametrize(
    ("tag", "version", "reason"),
    [
        ("1.0.0", "1.0.3", "1.0.0 points to an image whose labels say version 1.0.3"),
        ("1.0.0", "1.0.0rc1", "labels say version 1.0.0rc1"),
        ("1.0", "0.9.9", "1.0 points to an image whose labels say version 0.9.9"),
        ("1.0", "1.1.0", "labels say version 1.1.0"),
        ("1.0", "11.0.0", "labels say version 11.0.0"),
        ("1", "10.0.0", "labels say version 10.0.0"),
        ("1", "0.1.0", "labels say version 0.1.0"),
        ("1.0", "1.0.3rc1", "1.0.3rc1, a pre-release"),
        ("1", "1.0.3b2", "1.0.3b2, a pre-release"),
        ("latest", "2.0.0a1", "2.0.0a1, a pre-release"),
        ("v1.0.3", "1.0.3", "v1.0.3 looks like a version"),
        ("01.0.3", "1.0.3", "looks like a version"),
        ("1.0.3-rc1", "1.0.3", "looks like a version"),
        ("1.0.3.0", "1.0.3", "looks like a version"),
        ("LATEST", "1.0.3", "looks like a version"),
        (f"SHA-{REVISION}", "1.0.3", "looks like a version or a commit"),
        (f"sha-{'b' * 40}", "1.0.3", f"labels say commit {REVISION}"),
        (f"sha-{REVISION[:-1]}", "1.0.3", "labels say commit"),
        (f"sha-{REVISION}-2", "1.0.3", "labels say commit"),
        ("sha-", "1.0.3", "labels say commit"),
    ],
)
def test_a_tag_must_not_point_to_anything_else(tag: str, version: str, reason: str) -> None:
    with pytest.raises(Failure, match=reason):
        tags.check(Tag(tag), release(version))


@pytest.mark.parametrize(
    ("tag", "listed", "later"),
    [
        ("1.0", ["1.0.3", "1.0.10", "1.0.9"], "1.0.10"),
        ("1.0", ["1.0.3", "1.1.0", "10.0.0", "1.0.4rc1", "1.0", "latest", "sha-1.0.9", "01.0.9"], ""),
        ("1", ["1.0.3", "1.1.0", "2.0.0", "10.0.0"], "1.1.0"),
        ("latest", ["1.0.3", "2.0.0", "10.0.0"], "10.0.0"),
        ("latest", ["0.9.0"], ""),
        ("latest", [], ""),
    ],
)
def test_a_newer_release_for_an_alias_is_found(tag: str, listed: list[str], later: str) -> None:
    assert tags.find_newer(tag, Version("1.0.3"), listed) == later


@pytest.mark.parametrize(
    ("released", "listed", "moved"),
    [
        ("1.0.0", [], ["1.0", "1", "latest"]),
        ("1.0.0", ["1.0.0", "1.0", "1", "latest", "sha-abc"], ["1.0", "1", "latest"]),
        ("1.2.1", ["1.2.0"], ["1.2", "1", "latest"]),
        ("1.2.1", ["1.3.0"], ["1.2"]),
        ("1.2.1", ["2.0.0"], ["1.2", "1"]),
        ("1.2.1", ["1.2.2"], []),
        ("1.10.0", ["1.9.0"], ["1.10", "1", "latest"]),
        ("1.0.0", ["2.0.0rc1", "not.a.version"], ["1.0", "1", "latest"]),
        ("1.0.0", ["01.2.3", "2.0", "2.0.0-1", "v2.0.0", "2.0.0.0"], ["1.0", "1", "latest"]),
        ("1.0.0", ["1.0.0rc2", "1.0.1rc1"], ["1.0", "1", "latest"]),
    ],
)
def test_aliases_only_move_forward(released: str, listed: list[str], moved: list[str]) -> None:
    found = tags.find_keepers(Version(released), map(Tag, listed))

    assert [tag for tag, keeper in found.items() if not keeper] == moved
    assert list(found) == [released.rpartition(".")[0], released.partition(".")[0], "latest"]


def test_an_alias_is_kept_by_the_newest_release() -> None:
    listed = [Tag(name) for name in ("1.2.3", "1.10.0", "99.0.0", "1.9.0")]

    assert tags.find_keepers(Version("1.2.1"), listed) == {"1.2": "1.2.3", "1": "1.10.0", "latest": "99.0.0"}
