"""`./ship release`: the tags of a release in every registry."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts import BUILD, artifacts, console, shipment
from scripts.artifacts import published
from scripts.checkout import Commit
from scripts.errors import Failure
from scripts.evidence import cosign, referrers, signer, statements
from scripts.evidence.referrers import Referrers
from scripts.evidence.signer import KeyPair, Signer
from scripts.evidence.verification import Verified
from scripts.grammar import Key, Repository, Revision, Tag, Version
from scripts.oci import registry
from scripts.oci.labels import Release
from scripts.oci.tags import confirm, place
from scripts.stages import release
from tests.unit.scripts.shelf import GHCR, HUB, OURS, THEIRS, Shelf
from tests.unit.scripts.table import cells

REVISION = Revision("c" * 40)
COMMIT = Tag(f"sha-{REVISION}")
VERSIONS = ["1.0.0", "1.0", "1", "latest"]


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shelf:
    """A checkout of version 1.0.0 whose commit is published with evidence, but not released."""
    monkeypatch.setattr(artifacts, "BUILD", tmp_path / "build")
    for name in ("NOTES", "RELEASED_SBOM", "PROVENANCE"):
        monkeypatch.setattr(release, name, tmp_path / "build" / getattr(artifacts, name).relative_to(BUILD))
    monkeypatch.setattr(shipment, "version", lambda: Version("1.0.0"))
    monkeypatch.setattr(shipment, "commit", lambda: Commit(REVISION, 0))
    monkeypatch.setattr(shipment, "root", lambda: tmp_path)
    proven(monkeypatch, "1.0.0")
    shelf = Shelf().install(monkeypatch)
    monkeypatch.setattr(signer, "require_verifier", {(HUB, GHCR): KEY}.__getitem__)
    monkeypatch.setattr(cosign, "statements", predicates)
    there = {(HUB, OURS): Referrers(HUB, OURS, tuple(BUNDLES))}
    monkeypatch.setattr(referrers, "read", lambda place, image: there[place, image])
    for repository in (HUB, GHCR):
        shelf.held[repository.at(OURS)] = shelf.held[repository.at(COMMIT)] = OURS
    return shelf


KEY = KeyPair(None, Key("cosign.pub"))
# The bundles attached to the image, with the kind of those by the trusted signer.
BUNDLES = {
    b'{"one": 1}': statements.SBOM,
    b'{"two": 2}\n': statements.PROVENANCE,
    b'{"forged": 3}': "",
    b'{"four": 4}': statements.PROVENANCE,
}


def predicates(attached: Referrers, who: Signer, kind: str) -> list[bytes]:
    """Return the predicates by the trusted signer, like cosign, without their bundles."""
    assert who == KEY
    return [b"{}" for bundle in attached.bundles if BUNDLES[bundle] == kind]


def proven(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    """Let the verified image of the commit claim `version`."""
    image = Verified(Release(Version(version), OURS, REVISION), (HUB, GHCR), sbom={"bomFormat": "CycloneDX"})
    monkeypatch.setattr(release, "verified", lambda name: {COMMIT: image}[name])


def once(event: str, work: Callable[[], None]) -> Callable[[str], None]:
    """Return a callback that does `work` the first time that `event` happens."""
    left = [work]

    def then(happened: str) -> None:
        if happened == event and left:
            left.pop()()

    return then


def test_a_release_gets_its_version_and_aliases_in_every_registry(shelf: Shelf, tmp_path: Path) -> None:
    assert release.release("v1.0.0") == f"1.0.0 is {OURS} in {HUB} and {GHCR}"

    for repository in (HUB, GHCR):
        assert shelf.names(repository) == [COMMIT, *VERSIONS]
    assert shelf.written[:2] == [f"{HUB}:1.0.0", f"{GHCR}:1.0.0"], "the version everywhere, before anything moves"
    assert published() == f"{HUB}@{OURS}"
    assert json.loads((tmp_path / "build/published.json").read_bytes())["tags"] == {
        one: [COMMIT, *VERSIONS] for one in (HUB, GHCR)
    }
    assert json.loads((tmp_path / "build/release/sbom.cdx.json").read_bytes()) == {"bomFormat": "CycloneDX"}


def test_releasing_again_writes_nothing(shelf: Shelf) -> None:
    release.release()
    shelf.events.clear()

    assert release.release() == f"1.0.0 is {OURS} in {HUB} and {GHCR}"
    assert shelf.written == []
    assert [event for event in shelf.events if event.startswith("list")] == [f"list {HUB}", f"list {GHCR}"]


def test_a_release_that_one_registry_lacks_is_completed(shelf: Shelf) -> None:
    for name in VERSIONS:
        shelf.put(HUB, name, OURS)
    release.release()

    assert shelf.written == [f"{GHCR}:{name}" for name in VERSIONS]


def test_aliases_move_from_the_previous_release(shelf: Shelf) -> None:
    for name in ("0.9.0", "1", "latest"):
        shelf.put(HUB, name, THEIRS)
    release.release()

    assert shelf.names(HUB, THEIRS) == ["0.9.0"]


@pytest.mark.parametrize("wanted", ["01.0.0", "\uff11.0.0", "1.0", "", "v", "vv1.0.0", "1.0.0\n", "latest"])
def test_an_invalid_version_cannot_be_released(shelf: Shelf, wanted: str) -> None:
    with pytest.raises(Failure, match=r"the version to release: .* is not a version"):
        release.release(wanted)
    assert shelf.events == []


def test_the_version_must_be_that_of_the_commit(shelf: Shelf) -> None:
    with pytest.raises(Failure, match=r"v1\.0\.1 is to be released, and this commit is version 1\.0\.0"):
        release.release("v1.0.1")
    assert shelf.events == []


def test_an_image_that_claims_another_version_is_not_released(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    proven(monkeypatch, "1.0.1")

    with pytest.raises(Failure, match=r"the image of commit c{12} is version 1\.0\.1, not 1\.0\.0"):
        release.release()
    assert shelf.events == []


@pytest.mark.parametrize("place", [HUB, GHCR])
def test_a_version_taken_in_one_registry_is_written_in_none(shelf: Shelf, place: Repository) -> None:
    shelf.put(place, "1.0.0", THEIRS)

    with pytest.raises(Failure, match=f"{place}:1.0.0 is already {THEIRS}, this image is {OURS}"):
        release.release()
    assert shelf.written == []


def test_where_the_version_is_taken_the_commit_may_stay_unreleased(shelf: Shelf) -> None:
    """As at the end of `./ship`, after the commit was published."""
    shelf.put(GHCR, "1.0.0", THEIRS)

    said = release.release(unless_taken=True)

    assert said.startswith(f"not released: {GHCR}:1.0.0 is already {THEIRS}")
    assert f"It is published as {COMMIT}; raise the version in ship.toml" in said
    assert shelf.written == []


@pytest.mark.parametrize(("ours", "theirs"), [(HUB, GHCR), (GHCR, HUB)])
def test_registries_that_disagree_about_a_version_are_never_passed_over(
    shelf: Shelf, ours: Repository, theirs: Repository
) -> None:
    """A release that somebody else's got ahead of half-way: the version is two images now."""
    shelf.put(ours, "1.0.0", OURS)
    shelf.put(theirs, "1.0.0", THEIRS)

    with pytest.raises(Failure, match=f"{theirs}:1.0.0 is already {THEIRS}"):
        release.release(unless_taken=True)
    assert shelf.written == []


def test_a_version_that_appears_after_the_first_check_is_not_overwritten(
    shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf.then = once(f"ask {GHCR}:1.0.0", lambda: shelf.put(GHCR, "1.0.0", THEIRS))

    with pytest.raises(Failure, match=f"{GHCR}:1.0.0 is already {THEIRS}"):
        release.release()
    assert shelf.names(GHCR, THEIRS) == ["1.0.0"]
    assert shelf.written == [f"{HUB}:1.0.0"], "aliases wait until the version is everywhere"
    assert cells(capsys.readouterr().out) == [
        ["registry", "tag", "digest", ""],
        [HUB, COMMIT, OURS.short, "same"],
        [HUB, "1.0.0", OURS.short, "same"],
        [GHCR, COMMIT, OURS.short, "same"],
        [GHCR, "1.0.0", THEIRS.short, "WRONG"],
    ]


def test_a_version_overwritten_at_the_last_moment_is_noticed(shelf: Shelf, tmp_path: Path) -> None:
    shelf.then = once(f"tag {HUB}:1.0.0", lambda: shelf.put(HUB, "1.0.0", THEIRS))

    with pytest.raises(Failure, match="does not give back the digest"):
        release.release()
    assert not (tmp_path / "build/published.json").exists()


def test_a_newer_concurrent_release_keeps_the_aliases(shelf: Shelf) -> None:
    """The tags are listed after the version was written, not before."""
    shelf.put(GHCR, "latest", THEIRS)
    shelf.then = once(f"tag {GHCR}:1.0.0", lambda: shelf.put(GHCR, "1.1.0", THEIRS))

    release.release()

    assert shelf.names(GHCR, THEIRS) == ["latest", "1.1.0"]
    assert "1" not in shelf.names(GHCR)
    assert "latest" in shelf.names(HUB)


def test_a_newer_release_during_the_move_is_named(shelf: Shelf) -> None:
    shelf.then = once(f"tag {HUB}:latest", lambda: shelf.put(HUB, "1.1.0", THEIRS))

    with pytest.raises(Failure, match=f"1.1.0 was released to {HUB} meanwhile") as refused:
        release.release()
    assert refused.value.remedy == "./ship release, in a checkout of 1.1.0"


@pytest.mark.parametrize("name", [COMMIT, "1.0.0"])
def test_an_incomplete_tag_list_moves_nothing(shelf: Shelf, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for repository in (HUB, GHCR):
        shelf.put(repository, "latest", THEIRS)
    monkeypatch.setattr(registry, "tags", lambda repository: [one for one in shelf.tags(repository) if one != name])

    with pytest.raises(Failure, match=f"the tag list of {HUB} lacks {name}"):
        release.release()
    for repository in (HUB, GHCR):
        assert shelf.names(repository, THEIRS) == ["latest"]
        assert shelf.names(repository) == [COMMIT, "1.0.0"]


def test_a_missing_tag_list_moves_nothing(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_list(repository: Repository) -> list[Tag]:
        raise Failure(f"{repository} gives no list")

    monkeypatch.setattr(registry, "tags", no_list)

    with pytest.raises(Failure, match="gives no list"):
        release.release()
    assert shelf.written == [f"{HUB}:1.0.0", f"{GHCR}:1.0.0"]


def test_a_foreign_version_that_keeps_latest_is_named(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    shelf.put(GHCR, "99.0.0", THEIRS)
    release.release()

    printed = capsys.readouterr().out
    assert f"{GHCR}:latest stays as it is: 99.0.0 is newer than 1.0.0" in printed
    assert f"{HUB}:latest stays" not in printed
    assert shelf.names(GHCR)[-2:] == ["1.0", "1"]


def test_a_pre_release_moves_nothing_and_needs_no_list(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipment, "version", lambda: Version("2.0.0rc1"))
    proven(monkeypatch, "2.0.0rc1")
    release.release()

    assert shelf.written == [f"{HUB}:2.0.0rc1", f"{GHCR}:2.0.0rc1"]
    assert not any(event.startswith("list") for event in shelf.events)


def test_a_registry_that_denies_access_gets_no_version(shelf: Shelf) -> None:
    shelf.denied.add(GHCR)

    with pytest.raises(registry.Denied):
        release.release()
    assert shelf.written == []


def test_a_version_is_not_written_unless_it_is_known_to_be_free(shelf: Shelf) -> None:
    shelf.denied.add(HUB)

    with pytest.raises(registry.Denied):
        place([HUB], Tag("1.0.0"), OURS)
    assert shelf.written == []


def test_notes_have_the_changes_and_how_to_pull(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "CHANGELOG.md").write_bytes(b"## [1.1.0]\nlater\n## [1.0.0] - 2026\nfirst \xff\n## [0.9.0]\nbefore\n")
    release.release()
    notes = (tmp_path / "build/release/notes.md").read_text(encoding="utf-8")

    assert notes.startswith("first \ufffd\n\n### The image")
    assert all(f"docker pull {place}:1.0.0@{OURS}\n" in notes for place in (HUB, GHCR))
    assert f'SHIP_REGISTRIES="{HUB} {GHCR}" ./ship verify 1.0.0' in notes
    assert shelf.names(HUB)


def test_a_release_page_attaches_the_verified_provenance(shelf: Shelf, tmp_path: Path) -> None:
    release.release()

    assert (tmp_path / "build/release/provenance.intoto.jsonl").read_bytes() == b'{"two": 2}\n{"four": 4}\n'
    assert "`provenance.intoto.jsonl`" in (tmp_path / "build/release/notes.md").read_text()
    assert shelf.names(HUB)


@pytest.mark.parametrize(
    ("version", "newer_in", "output"),
    [
        ("1.0.0", (), "latest=true\nprerelease=false\n"),
        ("1.0.0", (HUB, GHCR), "latest=false\nprerelease=false\n"),
        ("1.0.0", (GHCR,), "latest=false\nprerelease=false\n"),
        ("1.0.0rc1", (), "latest=false\nprerelease=true\n"),
    ],
)
def test_a_backport_or_a_pre_release_is_not_the_latest_on_github(
    shelf: Shelf,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    version: str,
    newer_in: tuple[Repository, ...],
    output: str,
) -> None:
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    monkeypatch.setattr(shipment, "version", lambda: Version(version))
    proven(monkeypatch, version)
    for repository in newer_in:
        shelf.put(repository, "2.0.0", THEIRS)
    release.release()

    assert (tmp_path / "output").read_text() == output


@pytest.mark.parametrize("content", [None, "# Changes\n", "## [1x0.0]\nno version\n"])
def test_notes_without_an_entry_say_so(shelf: Shelf, tmp_path: Path, content: str | None) -> None:
    if content:
        (tmp_path / "CHANGELOG.md").write_text(content)
    release.release()

    assert (tmp_path / "build/release/notes.md").read_text().startswith("No entry in CHANGELOG.md.\n")
    assert shelf.names(HUB)


@pytest.mark.parametrize("wrong", [(HUB, COMMIT), (HUB, "1.0.0"), (GHCR, COMMIT), (GHCR, "1.0.0")])
@pytest.mark.parametrize("missing", [True, False])
def test_one_wrong_tag_in_one_registry_is_an_error(
    shelf: Shelf,
    capsys: pytest.CaptureFixture[str],
    wrong: tuple[Repository, str],
    missing: bool,  # noqa: FBT001
) -> None:
    names = [COMMIT, Tag("1.0.0")]
    shelf.held.update({place.at(name): OURS for place in (HUB, GHCR) for name in names})
    assert confirm({HUB: names, GHCR: names}, OURS)
    assert "WRONG" not in capsys.readouterr().out
    place, name = wrong
    if missing:
        del shelf.held[place.at(Tag(name))]
    else:
        shelf.put(place, name, THEIRS)

    assert not confirm({HUB: names, GHCR: names}, OURS)
    [line] = [line for line in capsys.readouterr().out.splitlines() if "WRONG" in line]
    assert place in line
    assert name in line
    assert ("missing" if missing else THEIRS.short) in line


def test_a_silent_registry_is_asked_only_once(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    shelf.down.add(HUB)
    names = [COMMIT, Tag("1.0.0")]
    shelf.put(GHCR, "1.0.0", OURS)

    assert not confirm({HUB: names, GHCR: names}, OURS)
    assert shelf.events == [f"silence {HUB}", f"ask {GHCR}:{COMMIT}", f"ask {GHCR}:1.0.0"]
    assert [shown for *_, shown, _ in cells(capsys.readouterr().out)[1:3]] == ["no answer"] * 2


def test_a_narrow_table_cuts_nothing(
    shelf: Shelf, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console.console, "width", 40)
    shelf.put(HUB, "1.0.0", THEIRS)
    version = Tag("1.0.0rc" + "1" * 30)
    confirm({HUB: [COMMIT, Tag("1.0.0"), version]}, OURS)

    rows = [line.split("│")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    columns = ["".join(column).replace(" ", "") for column in zip(*rows, strict=True)]
    assert columns[0] == HUB * 3
    assert columns[1] == f"{COMMIT}1.0.0{version}"
    assert columns[2] == f"{OURS.short}{THEIRS.short}missing"


def test_before_the_first_publish_there_is_no_record(shelf: Shelf) -> None:
    with pytest.raises(Failure, match="nothing has been published from here yet"):
        published()
    assert shelf.events == []


TRUE = {"version": "1.0.0", "digest": OURS, "tags": {HUB: ["1.0.0"]}}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"null",
        b"[]",
        b"{}",
        b'{"version": "1.0.0"',
        json.dumps({**TRUE, "digest": "sha256:1"}).encode(),
        json.dumps({**TRUE, "digest": None}).encode(),
        json.dumps({**TRUE, "version": "1.0"}).encode(),
        json.dumps({**TRUE, "tags": []}).encode(),
        json.dumps({**TRUE, "tags": {}}).encode(),
        json.dumps({**TRUE, "tags": {"-x": ["1.0.0"]}}).encode(),
        json.dumps({**TRUE, "tags": {HUB: ["a b"]}}).encode(),
        b"[" * 100_000,
    ],
)
def test_a_damaged_record_is_refused(shelf: Shelf, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "build/published.json").parent.mkdir()
    (tmp_path / "build/published.json").write_bytes(content)

    with pytest.raises(Failure, match=r"build/published\.json") as refused:
        published()
    assert refused.value.remedy == "./ship publish"
    assert shelf.events == []


def test_a_tag_written_during_a_retry_is_not_overwritten(shelf: Shelf) -> None:
    shelf.faults = 1
    shelf.then = lambda event: shelf.put(HUB, "1.0.0", THEIRS) if event == "fault" else None

    with pytest.raises(Failure, match=str(THEIRS.short)):
        place([HUB], Tag("1.0.0"), OURS)
    assert shelf.held[HUB.at(Tag("1.0.0"))] == THEIRS
