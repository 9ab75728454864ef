"""`./ship promote` and `./ship rollback`: what they refuse, and what they commit."""

import shlex
from collections.abc import Callable

import pytest

from scripts.failure import Failure
from scripts.promote import promote
from scripts.record import Record
from scripts.rollback import rollback
from scripts.verify import Verified
from tests.unit.scripts.repository import Repository, release, verified

pytestmark = pytest.mark.usefixtures("repository")


def recorded(environment: str) -> str | None:
    image = Record(environment).release
    return image.version if image else None


def unreachable(reference: str) -> Verified:
    raise Failure(f"localhost:5001 cannot be asked about {reference}")


def test_a_release_goes_through_dev_test_and_prod(repository: Repository) -> None:
    for environment in ("dev", "test", "prod"):
        promote("1.0.0", environment, verified=verified)

    assert [recorded(environment) for environment in ("dev", "test", "prod")] == ["1.0.0"] * 3
    assert repository.subjects == ["Promote 1.0.0 to dev", "Promote 1.0.0 to test", "Promote 1.0.0 to prod"]


@pytest.mark.parametrize(("environment", "missing"), [("test", "dev"), ("prod", "test")])
def test_an_environment_cannot_be_left_out(repository: Repository, environment: str, missing: str) -> None:
    if missing == "test":
        promote("1.0.0", "dev", verified=verified)
    before = repository.head

    with pytest.raises(Failure, match=f"was never in {missing}") as failure:
        promote("1.0.0", environment, verified=verified)

    assert failure.value.remedy == f"./ship promote 1.0.0 {missing}"
    assert repository.head == before
    assert not Record(environment).edited


def test_another_image_under_a_version_that_was_there_is_refused(repository: Repository) -> None:
    image = release("1.1.0")
    text = f"VERSION=1.1.0\nDIGEST={release('1.0.0').digest}\nREVISION={image.revision}\n"
    repository.write("dev", text)

    with pytest.raises(Failure, match="was never in dev"):
        promote("1.1.0", "test", verified=verified)


def test_what_was_in_the_environment_before_may_go_on_when_that_has_moved_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for version in ("1.0.0", "1.1.0"):
        promote(version, "dev", verified=verified)

    promote("1.0.0", "test", verified=verified)

    assert recorded("test") == "1.0.0"
    assert "dev had 1.0.0" in capsys.readouterr().out


def test_a_commit_can_go_to_dev_and_no_further(repository: Repository) -> None:
    tag = f"sha-{release('1.0.0').revision}"

    promote(tag, "dev", verified=verified)

    assert Record("dev").release == release("1.0.0")
    assert repository.subjects == [f"Promote {tag[:16]} to dev"]
    with pytest.raises(Failure, match="test runs releases"):
        promote(tag, "test", verified=verified)


@pytest.mark.parametrize("version", ["latest", "1", "1.0", "v1.0.0", "sha-abc", "sha256:" + "0" * 64, "--help"])
def test_what_can_move_or_is_no_version_is_refused(version: str) -> None:
    with pytest.raises(Failure, match="no version"):
        promote(version, "dev", verified=verified)


def test_an_unverified_image_is_refused(repository: Repository) -> None:
    before = repository.head

    with pytest.raises(Failure, match=r"9\.9\.9 is in no registry"):
        promote("9.9.9", "dev", verified=verified)

    assert repository.head == before


def test_promoting_again_changes_nothing(repository: Repository) -> None:
    promote("1.0.0", "dev", verified=verified)
    before = repository.head

    assert "already" in promote("1.0.0", "dev", verified=verified)
    assert repository.head == before


@pytest.mark.parametrize(
    "act",
    [lambda: promote("1.1.0", "dev", verified=verified), lambda: rollback("dev", verified=verified)],
    ids=["promote", "rollback"],
)
def test_a_record_with_uncommitted_changes_is_left_alone(repository: Repository, act: Callable[[], str]) -> None:
    promote("1.0.0", "dev", verified=verified)
    promote("1.2.0", "dev", verified=verified)
    edited = repository.file("dev").read_text() + "URL=https://dev.example\n"
    repository.file("dev").write_text(edited)

    with pytest.raises(Failure, match="not committed"):
        act()

    assert repository.file("dev").read_text() == edited


@pytest.mark.parametrize("end", ["\n", ""])
def test_a_url_and_comments_stay_where_they_were(repository: Repository, end: str) -> None:
    repository.write("dev", f"# Größe: klein\nURL=https://dev.example\nVERSION=\n\nDIGEST=\n# last\nREVISION={end}")

    promote("1.0.0", "dev", verified=verified)

    image = release("1.0.0")
    assert repository.file("dev").read_text().splitlines() == [
        "# Größe: klein",
        "URL=https://dev.example",
        "VERSION=1.0.0",
        "",
        f"DIGEST={image.digest}",
        "# last",
        f"REVISION={image.revision}",
    ]


def test_only_the_record_is_committed(repository: Repository) -> None:
    (repository.path / "staged").write_text("")
    repository.git("add", "staged")
    (repository.path / "untracked").write_text("")

    promote("1.0.0", "dev", verified=verified)

    assert repository.git("show", "--name-only", "--format=") == "deploy/environments/dev.env"
    assert repository.git("status", "--porcelain") == "A  staged\n?? untracked"


def test_the_commit_holds_the_evidence(repository: Repository) -> None:
    promote("1.0.0", "dev", verified=verified)
    dev = repository.head
    promote("1.0.0", "test", verified=verified)

    assert repository.git("log", "-1", "--format=%(trailers)").splitlines() == [
        f"Digest: {release('1.0.0').digest}",
        f"Revision: {release('1.0.0').revision}",
        "Replaces: nothing",
        f"After: dev, by {dev}",
        "Verified: 1.0.0 in docker.io/me/x and ghcr.io/me/x",
    ]


def test_a_commit_that_fails_leaves_the_record_as_it_was(repository: Repository) -> None:
    hook = repository.path / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho not today >&2\nexit 1\n")
    hook.chmod(0o755)

    with pytest.raises(Failure, match="not today"):
        promote("1.0.0", "dev", verified=verified)

    assert recorded("dev") is None
    assert repository.git("status", "--porcelain") == ""


def test_without_a_branch_nothing_is_committed(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "--detach")

    with pytest.raises(Failure, match="no branch"):
        promote("1.0.0", "dev", verified=verified)


def test_rolling_back_twice_goes_back_by_two_and_never_forward(repository: Repository) -> None:
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        promote(version, "dev", verified=verified)

    for version in ("1.1.0", "1.0.0"):
        assert version in rollback("dev", verified=verified)
        assert recorded("dev") == version
        assert repository.subjects[-1] == f"Roll back dev to {version}"

    with pytest.raises(Failure, match="no release before"):
        rollback("dev", verified=verified)


def test_after_a_rollback_the_next_promotion_stands_on_what_was_gone_back_to() -> None:
    for version in ("1.0.0", "1.1.0"):
        promote(version, "dev", verified=verified)
    rollback("dev", verified=verified)
    promote("1.2.0", "dev", verified=verified)

    rollback("dev", verified=verified)

    assert recorded("dev") == "1.0.0"


def test_what_is_gone_back_to_is_verified_again_by_its_digest(repository: Repository) -> None:
    for version in ("1.0.0", "1.1.0"):
        promote(version, "dev", verified=verified)
    before = repository.head

    def revoked(reference: str) -> Verified:
        return unreachable(reference) if reference == release("1.0.0").digest else verified(reference)

    with pytest.raises(Failure, match="was not verified"):
        rollback("dev", verified=revoked)
    assert repository.head == before

    rollback("dev", verified=verified)
    assert f"Verified: {release('1.0.0').digest}" in repository.git("log", "-1", "--format=%(trailers)")


def test_with_nothing_recorded_there_is_nothing_to_go_back_to() -> None:
    with pytest.raises(Failure, match="no release before"):
        rollback("prod", verified=verified)


def test_a_rollback_that_cannot_be_verified_says_how_to_do_it_by_hand(repository: Repository) -> None:
    """The commands that it names are run here, after a rollback: a plain `git revert` would go forward."""
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        promote(version, "dev", verified=verified)
    rollback("dev", verified=verified)

    with pytest.raises(Failure, match=r"localhost:5001 cannot be asked") as failure:
        rollback("dev", verified=unreachable)

    assert recorded("dev") == "1.1.0"
    assert not Record("dev").edited
    for command in failure.value.remedy.partition(": ")[2].split(" && "):
        repository.git(*shlex.split(command)[1:])
    assert recorded("dev") == "1.0.0"
