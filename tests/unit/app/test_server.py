"""The server as a process of its own, behind a Unix socket: how it starts, and how signals stop it."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from app.model import Predictor
from app.server import Server
from app.settings import Settings

ROOT = Path(__file__).parents[3]
LONG_SECONDS = 600
SHORT_SECONDS = 15
HALF = b"POST /predict HTTP/1.1\r\nHost: x\r\nX-Request-ID: half\r\nContent-Length: 2\r\n\r\n{"


@dataclass
class Service:
    """A running `python -m app`, and the line that it logged at start."""

    process: subprocess.Popen[bytes]
    path: str
    started: dict[str, Any]

    def send(self, request: bytes, seconds: float = SHORT_SECONDS) -> socket.socket:
        """Send a request over a new connection, which waits `seconds` for each step."""
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(seconds)
            connection.connect(self.path)
            connection.sendall(request)
        except OSError:
            connection.close()
            raise
        return connection

    def get(self, path: str, seconds: float = SHORT_SECONDS) -> bytes:
        """Return the response for a path."""
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        with self.send(request, seconds) as connection:
            return b"".join(iter(lambda: connection.recv(9999), b""))

    def get_readiness(self) -> int:
        """Return the status of /readyz, 0 if nobody listens, or if a stopping worker leaves the connection waiting."""
        try:
            return int(self.get("/readyz", seconds=2).split()[1])
        except (FileNotFoundError, ConnectionError, TimeoutError):
            return 0

    def stop(self, expected: int) -> None:
        """Send SIGTERM, and wait until /readyz has the expected status."""
        self.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + SHORT_SECONDS
        while self.get_readiness() != expected:
            assert time.monotonic() < deadline, f"/readyz is not {expected}"


@pytest.fixture
def serve(onnx_dir: Path, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Start the service with settings."""
    with ExitStack() as stack:

        def start(**settings: float) -> Service:
            # gunicorn binds to HOST:PORT, in which "unix:" begins a path.
            places = {"HOST": f"unix:{tmp_path}/socket", "MODEL_DIR": str(onnx_dir), "WORKERS": "1"}
            environment = {**os.environ, **places, **{name.upper(): str(value) for name, value in settings.items()}}
            command = [sys.executable, "-m", "app"]
            process = stack.enter_context(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE))
            stack.callback(process.kill)
            return Service(process, f"{tmp_path}/socket:5000", log(process, lines=1)[0])

        yield start


def log(process: subprocess.Popen[bytes], lines: int | None = None) -> list[dict[str, Any]]:
    """Read so many lines of the log, or all until its end."""
    assert process.stdout
    return [json.loads(line) for line in itertools.islice(process.stdout, lines)]


def test_the_settings_configure_gunicorn(predictor: Predictor) -> None:
    settings = replace(Settings(), host="127.0.0.1", port=8080, workers=3, threads=2, graceful_seconds=20)

    configuration = Server(settings, predictor, 0).cfg

    assert configuration.address == [("127.0.0.1", 8080)]
    assert (configuration.workers, configuration.threads, configuration.graceful_timeout) == (3, 2, 20)
    assert configuration.keepalive > 60, "load balancers keep an idle connection for a minute"
    assert configuration.control_socket_disable


def test_a_stop_answers_and_logs_requests_in_flight(serve: Callable[..., Service]) -> None:
    service = serve(drain_seconds=0.2, graceful_seconds=LONG_SECONDS, threads=3)
    with service.send(HALF) as half:
        service.stop(expected=0)
        half.sendall(b"}")

        assert half.recv(9999).startswith(b"HTTP/1.1 415 ")
    assert service.process.wait(SHORT_SECONDS) == 0
    assert [line["id"] for line in log(service.process) if line["path"] == "/predict"] == ["half"]
    assert (service.started["workers"], service.started["threads"]) == (1, 3)


def test_a_worker_that_dies_while_draining_is_replaced(serve: Callable[..., Service]) -> None:
    service = serve(drain_seconds=LONG_SECONDS)
    service.stop(expected=503)
    pid = service.process.pid
    for worker in Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8").split():
        os.kill(int(worker), signal.SIGKILL)

    metrics = service.get("/metrics").splitlines()
    assert {b"shipshape_workers 1", b"shipshape_worker_starts_total 2"} <= {*metrics}
    [line] = log(service.process, lines=1)
    assert (line["level"], line["logger"]) == ("error", "gunicorn.error")
    assert "SIGKILL" in line["message"]


@pytest.mark.parametrize(
    ("drain", "graceful", "ready"),
    [
        pytest.param(LONG_SECONDS, LONG_SECONDS, 503, id="the drain"),
        pytest.param(0, LONG_SECONDS, 0, id="the wait for requests in flight"),
    ],
)
def test_a_second_signal_stops_at_once(drain: int, graceful: int, ready: int, serve: Callable[..., Service]) -> None:
    service = serve(drain_seconds=drain, graceful_seconds=graceful)
    with service.send(HALF):
        service.stop(expected=ready)

        service.process.send_signal(signal.SIGTERM)

        assert service.process.wait(SHORT_SECONDS) == 0
