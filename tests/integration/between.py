"""What stands between a client and a registry on this machine: it lets through what it is not told to answer itself."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

from tests.integration.registry import Registry

COPIED = ("Authorization", "Accept", "Content-Type")


@dataclass
class Between:
    """How requests are answered, by a part of their path: with a status, or not at all."""

    host: str = ""
    refused: dict[str, int] = field(default_factory=dict)
    silent: tuple[str, ...] = ()
    over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def between(registry: Registry) -> Iterator[Between]:
    """Run a server through which `registry` can be read."""
    state = Between()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if any(part in self.path for part in state.silent):
                state.over.wait(60)
                self.close_connection = True
                return
            for part, status in state.refused.items():
                if part in self.path:
                    self._answer(status, {}, b"")
                    return
            headers = {name: ", ".join(self.headers.get_all(name, [])) for name in COPIED if name in self.headers}
            reply = requests.request(self.command, f"http://{registry.host}{self.path}", headers=headers, timeout=30)
            self._answer(reply.status_code, dict(reply.headers), reply.content)

        def do_HEAD(self) -> None:
            self.do_GET()

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name in ("Content-Type", "Docker-Content-Digest"):
                if name in headers:
                    self.send_header(name, headers[name])
            self.send_header(
                "Content-Length", headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
            )
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        state.host = f"localhost:{server.server_port}"
        yield state
        state.over.set()
        server.shutdown()
