"""`./ship up`: what it refuses, and the request that it prints."""

import io
import json
import tarfile

import pytest

from scripts.errors import Failure
from scripts.stages.up import example, up
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
