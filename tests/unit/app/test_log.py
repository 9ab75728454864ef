from __future__ import annotations

import json
import logging
import select
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from app import log


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    before = (root.level, root.handlers[:])
    yield
    logging.captureWarnings(capture=False)
    root.setLevel(before[0])
    root.handlers[:] = before[1]


def read_log(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capfd.readouterr().out.splitlines()]


def test_an_error_logged_by_a_library_is_a_line_with_its_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    log.configure("info")
    try:
        json.loads("two\nlines")
    except ValueError:
        logging.getLogger("gunicorn.error").exception("Worker %s failed", 7)
    logging.getLogger("library").debug("nobody reads this")

    [line] = read_log(capfd)
    assert (line["level"], line["message"], line["logger"]) == ("error", "Worker 7 failed", "gunicorn.error")
    assert line["exception"].startswith("Traceback")
    assert "JSONDecodeError" in line["exception"]
    assert line["time"].endswith("Z")


def test_a_python_warning_is_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    log.configure("info")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        log.configure("info")
        warnings.warn("overflow", RuntimeWarning, stacklevel=1)

    [line] = read_log(capfd)
    assert line["level"] == "warning"
    assert "overflow" in line["message"]


def test_a_worker_writes_lines_in_batches_and_the_rest_at_its_end(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("threading.Thread.start", lambda _thread: None)
    requests = log.RequestLog("info")
    requests.start_batching()
    for number in range(20):
        requests(f"id-{number}", "GET", "/" + "x" * 300, 200, 1_000, 1, 10)
    before = capfd.readouterr().out
    requests.flush()

    assert before == ""
    assert [line["id"] for line in read_log(capfd)] == [f"id-{number}" for number in range(20)]


def test_a_batch_is_written_in_pieces_of_whole_lines_that_a_pipe_keeps_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pieces: list[bytes] = []
    monkeypatch.setattr("threading.Thread.start", lambda _thread: None)
    monkeypatch.setattr("os.write", lambda _descriptor, piece: pieces.append(piece))
    requests = log.RequestLog("info")
    requests.start_batching()
    for number in range(50):
        requests(f"id-{number}", "GET", "/" + "x" * number, 200, 1_000, 1, 10)
    requests.flush()

    assert len(pieces) > 1
    assert max(map(len, pieces)) <= select.PIPE_BUF
    assert [json.loads(line)["id"] for piece in pieces for line in piece.splitlines()] == [f"id-{n}" for n in range(50)]


def test_a_worker_writes_its_batch_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    written = threading.Event()
    monkeypatch.setattr("os.write", lambda _descriptor, _piece: written.set())
    requests = log.RequestLog("info")
    requests.start_batching()

    requests("id", "GET", "/", 200, 1, 0, 0)

    assert written.wait(10)


@pytest.mark.parametrize(
    ("status", "level"),
    [(200, "info"), (399, "info"), (400, "warning"), (499, "warning"), (500, "error"), (503, "error")],
)
def test_the_level_follows_the_status(status: int, level: str, capfd: pytest.CaptureFixture[str]) -> None:
    log.RequestLog("debug")("id", "GET", "/", status, 1, 0, 0)

    assert [line["level"] for line in read_log(capfd)] == [level]


def test_a_long_backlog_is_written_by_the_request_itself(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("threading.Thread.start", lambda _thread: None)
    requests = log.RequestLog("info")
    requests.start_batching()
    for number in range(10_001):
        requests(f"id-{number}", "GET", "/", 200, 1_000, 1, 10)

    assert len(read_log(capfd)) == 10_001


def test_a_broken_log_does_not_fail_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_descriptor: int, _line: bytes) -> int:
        raise BrokenPipeError

    monkeypatch.setattr("os.write", broken)

    log.RequestLog("info")("id", "GET", "/", 200, 1, 0, 0)
