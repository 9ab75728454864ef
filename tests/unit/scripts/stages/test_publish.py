"""`./ship publish`: what it requires, and the order in which it pushes."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from scripts import artifacts, shipment
from scripts.artifacts import IMAGE as LAYOUT
from scripts.artifacts import Built
from scripts.checkout import Commit
from scripts.errors import Failure
from scripts.evidence import signer
from scripts.evidence.signer import KeyPair, Signer
from scripts.grammar import Column, Key, Name, Platform, RelativePath, Repository, Revision, Tag, Version, WorkTree
from scripts.host import registries
from scripts.oci import tags
from scripts.stages import publish
from tests.unit.scripts.shelf import GHCR, HUB, OURS, THEIRS, Shelf

REVISION = Revision("c" * 40)
COMMIT = Tag(f"sha-{REVISION}")
VERSION = Version("1.0.0")
KEY = KeyPair(Key("ours.key"), Key("ours.pub"))
IMAGE = Built(
    digest=OURS,
    platforms={Platform("linux/amd64"): OURS},
    size=1,
    version=VERSION,
    revision=WorkTree(REVISION),
    model_format="onnx",
    base="python",
    pipeline=WorkTree(REVISION),
    name=Name("x"),
    data=RelativePath("x.csv"),
    target=Column("y"),
)


class Layout:
    def __init__(self, path: Path) -> None:
        assert path == LAYOUT

    def check(self) -> None:
        pass


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shelf:
    """Empty registries, and a checkout with an image that is built, tested and scanned."""
    shelf = Shelf().install(monkeypatch)

    def attest(repositories: Sequence[Repository], image: Built, who: Signer) -> None:
        assert (image.digest, who) == (OURS, KEY)
        shelf.events.append(f"attest {' '.join(repositories)}")

    monkeypatch.setattr(artifacts, "BUILD", tmp_path)
    monkeypatch.setattr(shipment, "version", lambda: VERSION)
    monkeypatch.setattr(shipment, "commit", lambda: Commit(REVISION, 0))
    monkeypatch.setattr(publish, "built", lambda: IMAGE)
    monkeypatch.setattr(publish, "Layout", Layout)
    monkeypatch.setattr(publish, "tested", list)
    monkeypatch.setattr(publish, "scanned", list)
    monkeypatch.setattr(publish, "attest", attest)
    monkeypatch.setattr(publish, "require_cosign", lambda: None)
    monkeypatch.setattr(signer, "require_signer", lambda _repositories: KEY)
    return shelf


def test_the_image_is_pushed_and_tagged_everywhere_before_the_evidence(shelf: Shelf) -> None:
    assert publish.publish() == f"{COMMIT} is {OURS} in {HUB} and {GHCR}"

    done = [event for event in shelf.events if not event.startswith("ask")]
    assert done == [
        f"push {HUB}@{OURS}",
        f"tag {HUB}:{COMMIT}",
        f"push {GHCR}@{OURS}",
        f"tag {GHCR}:{COMMIT}",
        f"attest {HUB} {GHCR}",
    ]
    assert shelf.events.index(f"ask {GHCR}:1.0.0") < shelf.events.index(f"push {HUB}@{OURS}")
    assert set(shelf.layouts) == {LAYOUT}


def test_a_commit_can_be_published_without_checking_its_version(shelf: Shelf) -> None:
    shelf.put(HUB, "1.0.0", THEIRS)

    assert publish.publish(commit_only=True) == f"{COMMIT} is {OURS} in {HUB} and {GHCR}"
    assert f"ask {HUB}:1.0.0" not in shelf.events


def test_an_existing_image_is_not_pushed_again(shelf: Shelf) -> None:
    publish.publish()
    shelf.events.clear()
    publish.publish()

    assert shelf.written == []
    assert f"attest {HUB} {GHCR}" in shelf.events


def no(reason: str) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise Failure(reason)

    return fail


@pytest.mark.parametrize("check", ["built", "tested", "scanned"])
def test_an_image_must_be_built_tested_and_scanned(shelf: Shelf, monkeypatch: pytest.MonkeyPatch, check: str) -> None:
    monkeypatch.setattr(publish, check, no(f"not {check}"))

    with pytest.raises(Failure, match=f"not {check}"):
        publish.publish()
    assert shelf.events == []


def test_a_changed_layout_is_not_pushed(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Layout, "check", no("was changed"))

    with pytest.raises(Failure, match="was changed"):
        publish.publish()
    assert shelf.events == []


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (replace(IMAGE, revision=WorkTree("d" * 40)), f"from {'d' * 12}, and {'c' * 12} is checked out"),
        (replace(IMAGE, revision=WorkTree(f"{REVISION}-dirty")), f"from {'c' * 12}, and {'c' * 12} is checked out"),
        (replace(IMAGE, version=Version("2.0.0")), "as version 2.0.0, and this is 1.0.0"),
    ],
)
def test_the_image_of_another_commit_is_not_pushed(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, image: Built, reason: str
) -> None:
    monkeypatch.setattr(publish, "built", lambda: image)

    with pytest.raises(Failure) as refused:
        publish.publish()
    assert (refused.value.reason, refused.value.remedy) == (f"the image was built {reason}", "./ship")
    assert shelf.events == []


def test_uncommitted_changes_are_not_published(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipment, "commit", lambda: Commit(REVISION, 0, dirty=True))

    with pytest.raises(Failure) as refused:
        publish.publish()
    assert refused.value.reason == "the work tree has uncommitted changes, so no commit would rebuild this image"
    assert refused.value.remedy == "git commit them; ./ship test builds and tests without publishing"
    assert shelf.events == []


@pytest.mark.parametrize("place", [HUB, GHCR])
@pytest.mark.parametrize("name", [COMMIT, "1.0.0"])
def test_a_tag_taken_in_one_registry_stops_everything(shelf: Shelf, place: Repository, name: str) -> None:
    shelf.put(place, name, THEIRS)

    with pytest.raises(Failure, match=f"{place}:{name} is already {THEIRS}"):
        publish.publish()
    assert shelf.written == []


@pytest.mark.parametrize("event", [f"ask {HUB}:{COMMIT}", f"push {HUB}@{OURS}"])
def test_a_concurrent_tag_is_not_overwritten(shelf: Shelf, capsys: pytest.CaptureFixture[str], event: str) -> None:
    """Copying takes time, so the image is pushed without a tag, and the tag is read again before it is written."""

    def then(happened: str) -> None:
        if happened == event:
            shelf.put(HUB, COMMIT, THEIRS)

    shelf.then = then

    with pytest.raises(Failure, match=f"{HUB}:{COMMIT} is already {THEIRS}"):
        publish.publish()
    assert shelf.names(HUB, THEIRS) == [COMMIT]
    assert not any(event.startswith(("attest", "tag", "release")) for event in shelf.events)
    assert "WRONG" in capsys.readouterr().out


def test_a_denied_repository_may_be_created_by_the_push(shelf: Shelf) -> None:
    shelf.denied = {HUB, GHCR}

    assert publish.publish().startswith(COMMIT)
    assert {*shelf.names(HUB), *shelf.names(GHCR)} == {COMMIT}


def test_a_registry_that_is_down_stops_everything(shelf: Shelf) -> None:
    shelf.down.add(GHCR)

    with pytest.raises(Failure, match=r"ghcr\.io gave no answer"):
        publish.publish()
    assert shelf.written == []


@pytest.mark.usefixtures("shelf")
def test_the_state_of_each_registry_is_printed_when_signing_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(publish, "attest", no("only GitHub can sign"))

    with pytest.raises(Failure, match="only GitHub can sign"):
        publish.publish()
    assert capsys.readouterr().out.count("same") == 2


def test_a_tag_moved_by_others_is_noticed(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "attest", lambda *_: shelf.put(GHCR, COMMIT, THEIRS))

    with pytest.raises(Failure) as refused:
        publish.publish(commit_only=True)
    assert refused.value.reason == "a registry does not give back the digest that was pushed"
    assert refused.value.remedy == "./ship publish"


@pytest.mark.parametrize(("named", "started"), [(None, True), ("localhost:5001/house-price", False), (f"{HUB}", False)])
def test_the_local_registries_are_started_when_they_are_used(
    shelf: Shelf,
    monkeypatch: pytest.MonkeyPatch,
    named: str | None,
    started: bool,  # noqa: FBT001
) -> None:
    if named:
        monkeypatch.setenv("SHIP_REGISTRIES", named)
    else:
        monkeypatch.delenv("SHIP_REGISTRIES")
    monkeypatch.setattr(registries, "start", lambda: shelf.events.append("start"))
    publish.publish()

    assert (shelf.events[0] == "start") is started


def test_the_tag_of_a_commit() -> None:
    assert tags.of_commit(REVISION) == f"sha-{REVISION}"


def test_the_expected_digest_is_published(shelf: Shelf) -> None:
    assert publish.publish(commit_only=True, expected=OURS).startswith(COMMIT)
    assert shelf.names(HUB) == [COMMIT]


def test_an_unexpected_digest_is_not_published(shelf: Shelf) -> None:
    """On GitHub the image comes from an artifact, and the digest from the job that built it."""
    with pytest.raises(Failure, match=f"{THEIRS} was built, and build/image is {OURS}"):
        publish.publish(commit_only=True, expected=THEIRS)
    assert shelf.events == []


def test_the_repositories_are_an_output_for_later_jobs(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    monkeypatch.setenv("SHIP_REGISTRIES", f"{HUB}  {GHCR.upper()}")
    publish.publish(commit_only=True)

    assert (tmp_path / "output").read_text() == f'repositories=["{HUB}", "{GHCR}"]\n'
    assert shelf.names(GHCR) == [COMMIT]


@pytest.fixture
def private(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A workflow of a private repository."""
    event = tmp_path / "event.json"
    event.write_text('{"repository": {"full_name": "me/x", "private": true}}')
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(event))


@pytest.mark.usefixtures("private")
def test_a_private_repository_is_refused_before_the_build(shelf: Shelf) -> None:
    with pytest.raises(Failure, match="me/x is private"):
        publish.check()
    assert shelf.events == []


@pytest.mark.usefixtures("private")
def test_local_registries_accept_a_private_repository(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHIP_REGISTRIES", "localhost:5001/x")

    assert publish.check() == "1.0.0 may go to localhost:5001/x"
    assert shelf.written == []


def test_the_check_publishes_nothing(shelf: Shelf) -> None:
    assert publish.check() == f"1.0.0 may go to {HUB} and {GHCR}"
    assert shelf.written == []


def test_the_check_refuses_a_registry_that_does_not_answer(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_EVENT_PATH", raising=False)
    shelf.down.add(GHCR)

    with pytest.raises(Failure, match=f"{GHCR.registry} gave no answer"):
        publish.check()
    monkeypatch.setenv("GITHUB_ACTIONS", "true")  # where the job that builds may have no login, and another does
    assert publish.check() == f"1.0.0 may go to {HUB} and {GHCR}"
    assert shelf.written == []


def test_the_check_asks_no_registry_that_is_started_only_to_publish(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = [Repository("localhost:5001/x")]
    monkeypatch.setenv("SHIP_REGISTRIES", ours[0])
    monkeypatch.setattr(shipment, "local_repositories", lambda: ours)
    shelf.down.update(ours)

    assert publish.check() == "1.0.0 may go to localhost:5001/x"


@pytest.mark.parametrize("named", [",", "me/x"])
def test_the_check_refuses_what_is_no_repository(shelf: Shelf, monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.setenv("SHIP_REGISTRIES", named)

    with pytest.raises(Failure, match="SHIP_REGISTRIES"):
        publish.check()
    assert shelf.events == []


def test_the_check_refuses_uncommitted_changes(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipment, "commit", lambda: Commit(REVISION, 0, dirty=True))

    with pytest.raises(Failure, match="uncommitted changes"):
        publish.check()
    assert shelf.events == []


@pytest.mark.parametrize(("module", "name"), [(publish, "require_cosign"), (signer, "require_signer")])
def test_an_image_that_cannot_be_signed_is_not_pushed(
    shelf: Shelf, module: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*asked: object) -> None:
        assert asked == (() if name == "require_cosign" else ([HUB, GHCR],))
        raise Failure("this machine cannot sign")

    monkeypatch.setattr(module, name, refuse)
    with pytest.raises(Failure, match="this machine cannot sign"):
        publish.publish()
    assert shelf.events == []


def test_the_check_refuses_an_image_that_cannot_be_signed(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_repositories: object) -> None:
        raise Failure("only GitHub can sign")

    monkeypatch.setattr(signer, "require_signer", refuse)
    with pytest.raises(Failure, match="only GitHub can sign"):
        publish.check()
    monkeypatch.setenv("GITHUB_ACTIONS", "true")  # when another job signs
    assert publish.check().startswith("1.0.0 may go to")
    assert shelf.events == []


def test_a_repository_that_is_none_is_refused_before_the_build(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """`./ship` would build and test for minutes first."""
    monkeypatch.setenv("SHIP_REGISTRIES", "me/x")

    with pytest.raises(Failure, match="SHIP_REGISTRIES"):
        publish.check_publishable()
    assert shelf.events == []
