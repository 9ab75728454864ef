"""`./ship up` and `./ship shell`: what they refuse, and the request that is printed."""

import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from scripts.errors import Failure
from scripts.grammar import Reference
from scripts.stages import up as stage
from scripts.stages.up import example, shell, up
from tests.unit.scripts.program import Program
from tests.unit.scripts.repository import Repository


def archive(content: bytes | None, kind: bytes = tarfile.REGTYPE) -> bytes:
    """The output of docker cp for a card with `content`: an archive of one file."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as files:
        member = tarfile.TarInfo("card.json")
        member.type, member.size, member.linkname = kind, len(content or b""), "elsewhere"
        files.addfile(member, io.BytesIO(content or b""))
    return made.getvalue()


def test_the_request_has_the_first_golden_row() -> None:
    rows = [{"features": {"area": 80, "town": "O'Brien", "garden": None, "new": True}}, {"features": {"area": 1}}]

    assert json.loads(example(archive(json.dumps({"golden": rows, "name": "x"}).encode()))) == rows[0]


@pytest.mark.parametrize(
    "card",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"golden": []}',
        b'{"golden": [{}]}',
        b'{"golden": [{"features": {"a": []}}]}',
        b"\xff",
    ],
)
def test_a_damaged_card_is_refused(card: bytes) -> None:
    with pytest.raises(Failure, match="the card of the model in the image is malformed"):
        example(archive(card))


@pytest.mark.parametrize("given", [b"", b"no archive", archive(None, tarfile.DIRTYPE), archive(None, tarfile.SYMTYPE)])
def test_a_card_that_is_no_file_is_refused(given: bytes) -> None:
    with pytest.raises(Failure, match=r"the image has no file /model/card\.json"):
        example(given)


@pytest.mark.parametrize("port", ["http", "0", "65536", "5020;id", "$(id)", "-1", " 5020", "5020\n", "٥٠٢٠"])
def test_an_invalid_port_is_refused(repository: Repository, port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.record("test", "1.0.0")
    monkeypatch.setenv("PORT", port)

    with pytest.raises(Failure, match=r"PORT: .* is not a port"):
        up("test")


@pytest.mark.usefixtures("repository")
def test_before_the_first_promotion_there_is_nothing_to_start() -> None:
    with pytest.raises(Failure, match="nothing was promoted to test yet"):
        up("test")


def test_a_shell_is_opened_in_a_container_as_compose_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = Program(tmp_path / "bin/docker")
    docker.answer({"compose": f'echo "$REPOSITORY@$DIGEST" >{tmp_path}/image; exit 3'})
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    image = Reference(f"ghcr.io/me/x@sha256:{1:064}")
    monkeypatch.setattr(stage, "published", lambda: image)

    assert shell() == 3

    assert docker.calls == [["compose", "run", "--rm", "--no-TTY", "--entrypoint", "sh", "service"]]
    assert (tmp_path / "image").read_text() == f"{image}\n"


@pytest.mark.usefixtures("repository")
def test_before_the_first_promotion_there_is_nothing_to_look_into() -> None:
    with pytest.raises(Failure, match="nothing was promoted to test yet"):
        shell("test")
