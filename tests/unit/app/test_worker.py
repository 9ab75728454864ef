"""The worker in its own loop, over real sockets: no client blocks the others, whatever it fails to do."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from flask import Flask, Response

from app.model import Predictor
from app.server import Server, ServerLog
from app.settings import Settings
from app.worker import Worker

OK = b"HTTP/1.1 200 "
SOON_SECONDS = 10  # less than gunicorn needs to wait for ten such clients, one after the other
AT_LAST_SECONDS = 20
LONG = b"x" * 4_000_000  # more than a socket buffers

GET = b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n"
LAST_GET = b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class QuickWorker(Worker):
    """A worker for a thread of a test: each round of its main loop takes at most 50 ms, not a second."""

    def init_signals(self) -> None:
        """Leave the signals alone: a thread has none."""

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait for events for a twentieth of the time."""
        super().wait_for_and_dispatch_events(timeout / 20)


@dataclass(frozen=True)
class Service:
    """A running worker and its listener."""

    worker: Worker
    listener: socket.socket
    open: ExitStack

    def client(self, sent: bytes = b"", seconds: float = AT_LAST_SECONDS) -> socket.socket:
        """Connect and send something; waits `seconds` for a response."""
        connection = self.open.enter_context(socket.socket(self.listener.family))
        connection.settimeout(seconds)
        connection.connect(self.listener.getsockname())
        connection.sendall(sent)
        return connection

    def responds(self, seconds: float) -> bool:
        """Whether another client gets a response within so many seconds."""
        try:
            return read_response(self.client(GET, seconds)).startswith(OK)
        except TimeoutError:
            return False


@contextmanager
def serving(predictor: Predictor, listener: socket.socket, **settings: object) -> Iterator[Service]:
    """Run a worker in a thread as its arbiter would; it ends after its last connection, so it must count them right."""
    values = {"threads": 2, "access_log": False, "graceful_seconds": 600, **settings}
    server = Server(replace(Settings(), **values), predictor, time.monotonic())  # type: ignore[arg-type]
    application: Flask = server.wsgi()
    application.add_url_rule("/long", "long", lambda: Response(LONG), methods=["GET", "POST"])
    application.add_url_rule("/odd", "odd", lambda: Response(headers={"Odd": "\x01"}))
    worker = QuickWorker(1, os.getppid(), [listener], server, 30, server.cfg, ServerLog(server.cfg))

    def run() -> None:
        with suppress(SystemExit):
            worker.init_process()

    loop = threading.Thread(target=run, daemon=True)
    loop.start()
    try:
        with ExitStack() as stack:
            yield Service(worker, listener, stack)
    finally:
        worker.handle_exit(None, None)
        loop.join(AT_LAST_SECONDS)
        assert not loop.is_alive()
        worker.tmp.close()
        for end in worker.PIPE:
            os.close(end)


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        yield listener


def make_post(body: bytes, path: str = "/predict") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize("request_", [b"GET /long HTTP/1.1\r\n\r\n", b"POST /long HTTP/1.1\r\n\r\n"])
def test_clients_that_do_not_read_are_cut_off(request_: bytes, predictor: Predictor, listener: socket.socket) -> None:
    with serving(predictor, listener, request_seconds=0.1) as service:
        for _ in range(2):  # as many as there are threads
            service.client(request_)

        assert service.responds(AT_LAST_SECONDS)


def test_clients_that_do_not_close_the_connection_block_nobody(predictor: Predictor, listener: socket.socket) -> None:
    with serving(predictor, listener) as service:
        for client in [service.client(LAST_GET) for _ in range(10)]:
            assert read_to_end(client).startswith(OK)

        assert service.responds(SOON_SECONDS)


def test_a_connection_that_its_client_leaves_open_is_closed(
    predictor: Predictor, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.worker._CLOSE_SECONDS", 0.1)
    with serving(predictor, listener) as service:
        client = service.client(LAST_GET)
        hang_up = select.poll()
        hang_up.register(client, 0)

        assert hang_up.poll(AT_LAST_SECONDS * 1000) == [(client.fileno(), select.POLLHUP)]


def test_a_client_that_still_sends_gets_its_error(predictor: Predictor, listener: socket.socket) -> None:
    with serving(predictor, listener) as service:
        client = service.client(b"nonsense\r\n\r\n" + LONG)

        assert read_response(client).startswith(b"HTTP/1.1 400 ")


def test_silent_clients_block_nobody(predictor: Predictor, listener: socket.socket) -> None:
    with serving(predictor, listener) as service:
        for _ in range(10):
            service.client()

        assert service.responds(SOON_SECONDS)


def test_a_body_that_looks_like_a_request_blocks_nobody(predictor: Predictor) -> None:
    """The worker reads ahead into the head of a second request, so what is left in the socket is its body.

    Over TCP, where the client's system receives a response before the client reads it.
    """
    first, second = make_post(b"{}"), b"POST /predict HTTP/1.1\r\nContent-Length: 99999\r\n"
    ahead = 8192 - len(first + second + b"X: \r\nY: \r\n\r\n")
    filled = second + b"X: %s\r\nY: %s\r\n\r\n" % (b"x" * (ahead // 2), b"y" * (ahead - ahead // 2))
    with socket.create_server(("127.0.0.1", 0)) as listener, serving(predictor, listener) as service:
        client = service.client(first + filled + first)

        assert read_response(client).startswith(b"HTTP/1.1 400 ")
        assert service.responds(SOON_SECONDS)


@pytest.mark.parametrize("path", ["/predict", "/long"])
def test_clients_that_disconnect_early_block_nobody(path: str, predictor: Predictor, listener: socket.socket) -> None:
    with serving(predictor, listener) as service:
        for _ in range(10):
            service.client(make_post(b"{}", path)).close()

        assert service.responds(SOON_SECONDS)


def test_a_long_response_to_a_short_request_blocks_nobody(predictor: Predictor, listener: socket.socket) -> None:
    with serving(predictor, listener) as service:
        client = service.client(make_post(b"{}", "/long"))

        assert service.responds(SOON_SECONDS)
        long = read_response(client)
        assert long.startswith(OK)
        assert long.endswith(LONG)
        client.sendall(make_post(b"{}"))
        assert read_response(client).startswith(b"HTTP/1.1 400 ")


def test_it_quits_even_while_it_submits_a_request_to_a_thread(
    predictor: Predictor, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool holds a lock meanwhile, and the signal handler interrupts that."""
    start, interrupted = threading.Thread.start, threading.Event()
    with serving(predictor, listener) as service:

        def start_of_a_thread(thread: threading.Thread) -> None:
            interrupted.set()
            service.worker.handle_quit(signal.SIGQUIT, None)
            start(thread)

        monkeypatch.setattr("threading.Thread.start", start_of_a_thread)
        service.client(GET)

        assert interrupted.wait(AT_LAST_SECONDS)
    # Outside of a test, the end of the process closes what is left open.
    service.worker.tpool.shutdown()
    service.worker.method_queue.defer(int)  # or the queue is not run: the loop has read all its wake-ups
    service.worker.method_queue.run_callbacks(None)
    service.worker.murder_keepalived(force=True)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        pytest.param(b"GET /" + b"x" * 5_000 + b" HTTP/1.1\r\n\r\n", 414, id="a long line"),
        pytest.param(b"GET / HTTP/1.1\r\nLarge: " + b"x" * 9_000 + b"\r\n\r\n", 431, id="a large header"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nExpect: wonders\r\n\r\n", 417, id="an unknown expectation"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: magic\r\n\r\n", 400, id="an unknown coding"),
        pytest.param(b"nonsense" * 500 + b"\r\n\r\n", 400, id="not HTTP"),
    ],
)
def test_bytes_that_are_not_a_request_are_refused_counted_and_logged(
    request_: bytes, status: int, predictor: Predictor, listener: socket.socket, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(predictor, listener, access_log=True) as service:
        head, _, body = read_to_end(service.client(request_)).partition(b"\r\n\r\n")
        metrics = read_response(service.client(GET.replace(b"version", b"metrics"))).decode()

    headers = dict(line.split(b": ") for line in head.split(b"\r\n")[1:])
    [line] = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert headers[b"Content-Type"] == b"application/problem+json"
    assert headers[b"Content-Length"] == b"%d" % len(body)
    assert headers[b"X-Request-ID"].decode() == line["id"]
    assert json.loads(body)["status"] == line["status"] == status
    assert len(body) < 500
    assert f'http_requests_total{{method="",route="unmatched",status="{status}"}} 1' in metrics
    assert "http_requests_in_flight 1" in metrics


def test_a_late_body_is_a_408_and_other_connections_stay_open(
    predictor: Predictor, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.worker._CHECK_SECONDS", 0.05)
    with serving(predictor, listener, request_seconds=1) as service:
        other = service.client(GET)
        assert read_response(other).startswith(OK)

        assert read_response(service.client(make_post(b"{}")[:-1])).startswith(b"HTTP/1.1 408 ")
        other.sendall(GET)
        assert read_response(other).startswith(OK)


def test_a_response_that_is_not_valid_http_is_a_500(
    predictor: Predictor, listener: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(predictor, listener) as service:
        odd = read_response(service.client(GET.replace(b"version", b"odd")))

    assert odd.startswith(b"HTTP/1.1 500 ")
    assert "Invalid response header" in caplog.text


def read_response(client: socket.socket) -> bytes:
    """Read one response, or as much of it as arrives."""
    content, size = b"", None
    while size is None or len(content) < size:
        part = client.recv(1 << 20)
        content += part
        if size is None and (head := re.match(rb"(?s).*?Content-Length: (\d+)\r\n.*?\r\n\r\n", content)):
            size = head.end() + int(head[1])
        if not part:
            break
    return content


def read_to_end(client: socket.socket) -> bytes:
    """Read until the server closes the connection."""
    return b"".join(iter(lambda: client.recv(1 << 20), b""))
