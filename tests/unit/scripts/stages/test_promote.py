"""`./ship promote` and `./ship rollback`: what they refuse and what they commit."""

import os
import resource
import select
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from scripts import ROOT
from scripts.environments import record
from scripts.environments.record import Record
from scripts.errors import Failure
from scripts.evidence.verification import Verified
from scripts.grammar import Digest, Revision
from scripts.oci.labels import Release
from scripts.stages.promote import promote
from scripts.stages.rollback import rollback
from scripts.stages.up import up
from tests.unit.scripts.repository import EMPTY, Repository, release, text, verified

pytestmark = pytest.mark.usefixtures("repository")


def recorded(environment: str) -> str | None:
    image = Record(environment).fields.release
    return image.version if image else None


def claims(field: str, value: Any) -> Callable[[str], Verified]:
    """Return a verifier whose images claim `value`."""

    def verify(reference: str) -> Verified:
        image = verified(reference)
        return replace(image, release=replace(image.release, **{field: value}))

    return verify


def hook(repository: Repository, name: str, script: str) -> None:
    """Let Git run `script` on every commit."""
    path = repository.path / ".git" / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def unreachable(reference: str) -> Verified:
    raise Failure(f"localhost:5001 does not send {reference}")


def test_a_release_goes_through_dev_test_and_prod(repository: Repository) -> None:
    for environment in ("dev", "test", "prod"):
        promote("1.0.0", environment, verified=verified)

    assert [recorded(environment) for environment in ("dev", "test", "prod")] == ["1.0.0"] * 3
    assert repository.subjects == ["Promote 1.0.0 to dev", "Promote 1.0.0 to test", "Promote 1.0.0 to prod"]


@pytest.mark.parametrize(("environment", "missing"), [("test", "dev"), ("prod", "test")])
def test_an_environment_cannot_be_skipped(repository: Repository, environment: str, missing: str) -> None:
    if missing == "test":
        promote("1.0.0", "dev", verified=verified)
    before = repository.head

    with pytest.raises(Failure, match=f"was never in {missing}") as failure:
        promote("1.0.0", environment, verified=verified)

    assert failure.value.remedy == f"./ship promote 1.0.0 {missing}"
    assert repository.head == before
    assert not Record(environment).edited


def test_another_image_with_the_same_version_is_refused(repository: Repository) -> None:
    image = release("1.1.0")
    text = f"VERSION=1.1.0\nDIGEST={release('1.0.0').digest}\nREVISION={image.revision}\n"
    repository.write("dev", text)

    with pytest.raises(Failure, match="was never in dev"):
        promote("1.1.0", "test", verified=verified)


def test_an_earlier_release_of_the_previous_environment_can_be_promoted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for version in ("1.0.0", "1.1.0"):
        promote(version, "dev", verified=verified)

    promote("1.0.0", "test", verified=verified)

    assert recorded("test") == "1.0.0"
    assert "dev had 1.0.0" in capsys.readouterr().out


def test_the_current_release_of_the_previous_environment_is_promoted_silently(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for environment in ("dev", "test"):
        promote("1.0.0", environment, verified=verified)

    assert capsys.readouterr().out == ""


def test_the_commit_names_the_last_promotion_to_the_previous_environment(repository: Repository) -> None:
    for version in ("1.0.0", "1.1.0"):
        promote(version, "dev", verified=verified)
    rollback("dev", verified=verified)
    last = repository.head

    promote("1.0.0", "test", verified=verified)

    assert f"After: dev, by {last}" in repository.git("log", "-1", "--format=%(trailers)").splitlines()


def test_a_commit_can_be_promoted_to_dev_only(repository: Repository) -> None:
    tag = f"sha-{release('1.0.0').revision}"

    promote(tag, "dev", verified=verified)

    assert Record("dev").fields.release == release("1.0.0")
    assert repository.subjects == [f"Promote {tag[:16]} to dev"]
    with pytest.raises(Failure, match="test runs releases"):
        promote(tag, "test", verified=verified)


@pytest.mark.parametrize(
    "version",
    [
        *("latest", "1", "1.0", "v1.0.0", "sha256:" + "0" * 64, "--help", "1.0.0\n", "1.0.0 ", "1.0.0-x", "01.0.0"),
        *("sha-abc", f"sha-{'0' * 41}", f"sha-{'0' * 40}\n", f"sha-{'A' * 40}", "0" * 40, f"xsha-{'0' * 40}"),
    ],
)
def test_an_alias_or_an_invalid_version_is_refused(version: str) -> None:
    with pytest.raises(Failure, match="is no version"):
        promote(version, "dev", verified=verified)


def commits(repository: Repository, number: int) -> list[str]:
    """Make `number` commits, and return the tags of their images."""
    made = []
    for _ in range(number):
        repository.git("commit", "--quiet", "--allow-empty", "--message", "work")
        made.append(f"sha-{repository.head}")
    return made


def of_its_commit(tag: str) -> Verified:
    """Verify an image of the commit in `tag`, with a digest of its own."""
    revision = Revision(tag.removeprefix("sha-"))
    image = verified("1.0.0")
    return replace(image, release=replace(image.release, digest=Digest(f"sha256:{revision:0>64}"), revision=revision))


def test_a_repeated_run_does_not_move_dev_back(repository: Repository) -> None:
    first, second = commits(repository, 2)
    promote(second, "dev", forward=True, verified=of_its_commit)
    before = repository.head

    assert "of a later commit" in promote(first, "dev", forward=True, verified=of_its_commit)
    assert repository.head == before


def test_a_run_moves_dev_forward(repository: Repository) -> None:
    first, second = commits(repository, 2)
    for tag in (first, second):
        promote(tag, "dev", forward=True, verified=of_its_commit)

    image = Record("dev").fields.release
    assert image
    assert second == f"sha-{image.revision}"


def test_dev_can_be_moved_back_by_hand(repository: Repository) -> None:
    first, second = commits(repository, 2)
    for tag in (second, first):
        promote(tag, "dev", verified=of_its_commit)

    image = Record("dev").fields.release
    assert image
    assert first == f"sha-{image.revision}"


def test_an_unknown_commit_does_not_block_dev(repository: Repository) -> None:
    """Such as one of a deleted branch."""
    repository.record("dev", "1.0.0")
    [tag] = commits(repository, 1)

    promote(tag, "dev", forward=True, verified=of_its_commit)

    image = Record("dev").fields.release
    assert image
    assert tag == f"sha-{image.revision}"


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
    [lambda: promote("1.1.0", "dev", verified=unreachable), lambda: rollback("dev", verified=unreachable)],
    ids=["promote", "rollback"],
)
def test_a_record_with_uncommitted_changes_is_left_alone(repository: Repository, act: Callable[[], str]) -> None:
    promote("1.0.0", "dev", verified=verified)
    promote("1.2.0", "dev", verified=verified)
    edited = repository.file("dev").read_text() + "URL=https://dev.example\n"
    repository.file("dev").write_text(edited)

    with pytest.raises(Failure, match="uncommitted changes"):
        act()

    assert repository.file("dev").read_text() == edited


@pytest.mark.parametrize("end", ["\n", ""])
def test_a_url_and_comments_stay_in_place(repository: Repository, end: str) -> None:
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


def test_the_commit_message_has_the_evidence(repository: Repository) -> None:
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


def test_a_commit_names_the_release_it_replaces_and_the_registries(repository: Repository) -> None:
    for version in ("1.0.0", "1.1.0"):
        promote(version, "dev", verified=verified)
    rollback("dev", verified=verified)

    assert repository.git("log", "-1", "--format=%(trailers)").splitlines() == [
        f"Digest: {release('1.0.0').digest}",
        f"Revision: {release('1.0.0').revision}",
        f"Replaces: 1.1.0 {release('1.1.0').digest}",
        f"Verified: {release('1.0.0').digest} in docker.io/me/x and ghcr.io/me/x",
    ]


def test_a_record_that_disappears_while_a_commit_fails_can_be_checked_out_again(repository: Repository) -> None:
    path = Record("dev").path
    hook(repository, "pre-commit", f"rm {path}; exit 1")

    with pytest.raises(Failure) as gone:
        promote("1.0.0", "dev", verified=verified)

    assert gone.value.reason == f"{path} can no longer be read: No such file or directory"
    assert gone.value.remedy == f"git checkout {path}"


def test_a_failed_commit_restores_the_record(repository: Repository) -> None:
    hook(repository, "pre-commit", "echo not today >&2; exit 1")

    with pytest.raises(Failure, match="not today"):
        promote("1.0.0", "dev", verified=verified)

    assert recorded("dev") is None
    assert repository.git("status", "--porcelain") == ""


def test_on_a_detached_head_nothing_is_committed(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "--detach")

    with pytest.raises(Failure, match="no branch"):
        promote("1.0.0", "dev", verified=verified)


def test_two_rollbacks_go_back_by_two_releases(repository: Repository) -> None:
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        promote(version, "dev", verified=verified)

    for version in ("1.1.0", "1.0.0"):
        assert version in rollback("dev", verified=verified)
        assert recorded("dev") == version
        assert repository.subjects[-1] == f"Roll back dev to {version}"

    with pytest.raises(Failure, match="no release before"):
        rollback("dev", verified=verified)


def test_a_promotion_after_a_rollback_can_be_rolled_back() -> None:
    for version in ("1.0.0", "1.1.0"):
        promote(version, "dev", verified=verified)
    rollback("dev", verified=verified)
    promote("1.2.0", "dev", verified=verified)

    rollback("dev", verified=verified)

    assert recorded("dev") == "1.0.0"


def test_a_rollback_verifies_the_earlier_digest_again(repository: Repository) -> None:
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


def test_an_empty_record_cannot_be_rolled_back() -> None:
    with pytest.raises(Failure, match="nothing was promoted to prod yet"):
        rollback("prod", verified=verified)


def test_an_unverifiable_rollback_says_how_to_do_it_by_hand(repository: Repository) -> None:
    """The test runs the commands in the message, after a rollback: a plain `git revert` would go forward."""
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        promote(version, "dev", verified=verified)
    rollback("dev", verified=verified)

    with pytest.raises(Failure, match=r"localhost:5001 does not send") as failure:
        rollback("dev", verified=unreachable)

    assert recorded("dev") == "1.1.0"
    assert not Record("dev").edited
    for command in failure.value.remedy.partition(": ")[2].split(" && "):
        repository.git(*shlex.split(command)[1:])
    assert recorded("dev") == "1.0.0"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (text("1.1.0", DIGEST="garbage"), 2),
        (f"{text('1.1.0')}DIGEST={release('1.2.0').digest}\n", 4),
        (f"{text('1.1.0')}digest={release('1.2.0').digest}\n", 4),
        (text("1.1.0", VERSION="$(touch pwned)"), 1),
        (text("1.1.0", VERSION="'$(touch pwned)'"), 1),
        (text("1.1.0", URL="https://x.example/$(id)"), 4),
        (b"# \xff\n", 1),
    ],
)
@pytest.mark.parametrize(
    "act",
    [
        lambda: promote("1.3.0", "dev", verified=unreachable),
        lambda: rollback("dev", verified=unreachable),
        lambda: up("dev"),
    ],
    ids=["promote", "rollback", "up"],
)
def test_a_malformed_record_is_refused_with_file_and_line(
    repository: Repository, act: Callable[[], str], content: str | bytes, line: int
) -> None:
    repository.record("dev", "1.0.0")
    before = repository.write("dev", content)

    with pytest.raises(Failure, match=rf"^deploy/environments/dev\.env, line {line}: "):
        act()

    assert repository.head == before
    assert not Record("dev").edited


@pytest.mark.parametrize(("asked", "field", "value"), [
    ("1.0.0", "version", "1.1.0"),
    (f"sha-{release('1.0.0').revision}", "revision", "f" * 40),
])  # fmt: skip
def test_an_image_that_claims_another_version_is_not_promoted(
    repository: Repository, asked: str, field: str, value: str
) -> None:
    before = repository.head

    with pytest.raises(Failure, match="is an image that says it is"):
        promote(asked, "dev", verified=claims(field, value))

    assert repository.head == before


def test_a_version_must_match_exactly() -> None:
    with pytest.raises(Failure, match=r"11\.0\.0 is an image that says it is 1\.0\.0"):
        promote("11.0.0", "dev", verified=lambda _: verified("1.0.0"))


def test_an_invalid_value_is_not_written(repository: Repository) -> None:
    image = release("1.0.0")
    false = Release("$(touch pwned)", image.digest, image.revision)  # type: ignore[arg-type]

    with pytest.raises(Failure, match=r"dev\.env, line 2: .* is not a version"):
        Record("dev").commit(false, "Promote", {})

    assert repository.file("dev").read_text() == EMPTY


@pytest.mark.parametrize(("field", "value"), [("VERSION", "9.9.9"), ("REVISION", "f" * 40)])
def test_a_false_record_cannot_be_promoted_further(repository: Repository, field: str, value: str) -> None:
    repository.write("dev", text("1.0.0", **{field: value}))
    before = repository.head

    with pytest.raises(Failure, match="was never in dev"):
        promote("1.0.0", "test", verified=verified)

    assert repository.head == before


@pytest.mark.parametrize(("field", "value"), [("VERSION", "9.9.9"), ("REVISION", "f" * 40)])
def test_a_false_record_is_no_rollback_target(repository: Repository, field: str, value: str) -> None:
    hand = repository.write("dev", text("1.0.0", **{field: value}))
    before = repository.record("dev", "1.1.0")

    with pytest.raises(Failure, match=f"as {hand[:12]} has it, and the image says that it is 1.0.0") as failure:
        rollback("dev", verified=verified)

    assert failure.value.remedy == "./ship promote 1.0.0 dev"
    assert repository.head == before
    assert not Record("dev").edited


@pytest.mark.parametrize(("field", "value"), [("VERSION", "9.9.9"), ("REVISION", "f" * 40)])
def test_a_promotion_corrects_a_false_record(repository: Repository, field: str, value: str) -> None:
    repository.write("dev", text("1.0.0", **{field: value}))

    promote("1.0.0", "dev", verified=verified)

    assert Record("dev").fields.release == release("1.0.0")


def test_a_rollback_from_a_false_record_reaches_the_true_one(repository: Repository) -> None:
    promote("1.0.0", "dev", verified=verified)
    repository.write("dev", text("1.0.0", VERSION="9.9.9"))

    assert "1.0.0" in rollback("dev", verified=verified)

    assert Record("dev").fields.release == release("1.0.0")


def test_an_image_with_another_digest_is_no_rollback_target(repository: Repository) -> None:
    for version in ("1.0.0", "1.1.0"):
        before = repository.record("dev", version)

    with pytest.raises(Failure, match="and the image says"):
        rollback("dev", verified=claims("digest", release("1.2.0").digest))

    assert repository.head == before


@pytest.mark.parametrize("given", [EMPTY, "", text("1.1.0")], ids=["empty lines", "no lines", "another release"])
def test_concurrent_changes_survive_a_failed_commit(repository: Repository, given: str) -> None:
    if given != EMPTY:
        repository.write("dev", given)
    url = "URL=https://dev.example"
    hook(repository, "pre-commit", f"echo {url} >>{Record('dev').path}; echo not today >&2; exit 1")

    with pytest.raises(Failure, match="not today"):
        promote("1.0.0", "dev", verified=verified)

    assert repository.file("dev").read_text() == f"{given}{url}\n"


def test_changes_made_during_verification_are_not_committed(repository: Repository) -> None:
    before = repository.head
    edited = EMPTY + "URL=https://dev.example\n"

    def slowly(reference: str) -> Verified:
        repository.file("dev").write_text(edited)
        return verified(reference)

    with pytest.raises(Failure, match="uncommitted changes"):
        promote("1.0.0", "dev", verified=slowly)

    assert repository.head == before
    assert repository.file("dev").read_text() == edited


def test_a_hook_that_changes_the_commit_is_reported(repository: Repository) -> None:
    path = Record("dev").path
    hook(repository, "pre-commit", f"sed -i s/VERSION=1.0.0/VERSION=9.9.9/ {path}; git add {path}")

    with pytest.raises(Failure, match="is not the verified one"):
        promote("1.0.0", "dev", verified=verified)


PROMOTE = """
import pathlib, signal, sys
from scripts import ROOT
from scripts.environments import record
from scripts.stages.promote import promote
from tests.unit.scripts.repository import verified

signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the tests were started with
record.ROOT = pathlib.Path(sys.argv[1])
promote("1.0.0", "dev", verified=verified)
"""


def wait_for(pipe: Path, act: subprocess.Popen[bytes]) -> None:
    """Wait until something is written to `pipe`, or `act` ends."""
    with os.fdopen(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), "rb") as end:
        while not select.select([end], [], [], 0.1)[0]:
            assert act.poll() is None, act.stderr and act.stderr.read()


@pytest.mark.parametrize(("moment", "left"), [("pre-commit", None), ("post-commit", "1.0.0")])
def test_ctrl_c_leaves_the_record_as_committed(
    repository: Repository, tmp_path: Path, moment: str, left: str | None
) -> None:
    """Before the commit the old content stays, afterwards that of the commit."""
    pipe = tmp_path / "started"
    os.mkfifo(pipe)
    hook(repository, moment, f"echo >{pipe}; exec sleep 60")

    with subprocess.Popen([sys.executable, "-c", PROMOTE, repository.path], cwd=ROOT, stderr=subprocess.PIPE) as act:
        wait_for(pipe, act)
        act.send_signal(signal.SIGINT)
        assert b"KeyboardInterrupt" in act.communicate(timeout=20)[1]

    assert recorded("dev") == left
    assert repository.git("status", "--porcelain") == ""


@contextmanager
def full_disk() -> Iterator[None]:
    """Limit file sizes to 0 for this process and its children."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_record_whole(repository: Repository) -> None:
    with full_disk(), pytest.raises(Failure, match=r"deploy/environments/dev\.env cannot be written: ") as full:
        promote("1.0.0", "dev", verified=verified)

    assert full.value.remedy == f"solve that, then check the file: git diff {Record('dev').path}"
    assert repository.file("dev").read_text() == EMPTY
    assert repository.git("status", "--porcelain") == ""


def test_a_record_is_replaced_atomically(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rename from another file system, such as /tmp, would not be atomic."""
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")

    promote("1.0.0", "dev", verified=verified)

    assert recorded("dev") == "1.0.0"
    assert repository.git("status", "--porcelain") == ""


def test_a_record_keeps_its_mode(repository: Repository) -> None:
    repository.file("dev").chmod(0o664)

    promote("1.0.0", "dev", verified=verified)

    assert repository.file("dev").stat().st_mode & 0o777 == 0o664


@pytest.mark.parametrize("environment", ["dev", "test", "prod"])
def test_a_shallow_clone_can_neither_promote_nor_roll_back(
    repository: Repository, environment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in ("dev", "test", "prod"):
        repository.record(each, "1.0.0")
    subprocess.run(
        ["git", "clone", "--quiet", "--depth=1", f"file://{repository.path}", tmp_path / "shallow"], check=True
    )
    monkeypatch.setattr(record, "ROOT", tmp_path / "shallow")

    for act in (partial(promote, "1.1.0"), rollback):
        with pytest.raises(Failure, match="shallow clone") as failure:
            act(environment, verified=unreachable)
        assert "git fetch --unshallow" in failure.value.remedy


def test_without_an_identity_the_error_is_from_git(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.delenv(f"GIT_{role}_NAME")
        monkeypatch.delenv(f"GIT_{role}_EMAIL")
    repository.git("config", "user.useConfigOnly", "true")

    with pytest.raises(Failure, match=r"git commit: .*no email was given") as failure:
        promote("1.0.0", "dev", verified=verified)

    assert "clone" not in failure.value.remedy
    assert not Record("dev").edited
