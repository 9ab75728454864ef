"""A proxy in front of a registry, whose answers a test can override."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

from tests.integration.registry import Registry

HOP_BY_HOP = {"connection", "content-length", "transfer-encoding"}


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] | None = None


@dataclass(frozen=True)
class Asked:
    """A request; `truth` passes it on to the registry, each time."""

    method: str
    path: str
    truth: Callable[[], Answer]


Teller = Callable[[Asked], Answer]
"""Returns the answer to a request."""


@contextmanager
def in_front_of(registry: Registry, tell: Teller) -> Iterator[Registry]:
    """Answer requests by `tell`, in place of `registry`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            chunked = "chunked" in self.headers.get("Transfer-Encoding", "")
            length = int(self.headers["Content-Length"] or 0)
            body = b"".join(iter(self.chunk, b"")) if chunked else self.rfile.read(length)
            answer = tell(Asked(self.command, self.path, lambda: self.ask(body)))
            headers = answer.headers or {}
            self.send_response(answer.status)
            for name, value in headers.items():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            head = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(answer.body))
            self.send_header("Content-Length", head)
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do  # noqa: N815 - as http.server calls them

        def ask(self, body: bytes) -> Answer:
            headers = {
                name: ", ".join(self.headers.get_all(name, []))  # skopeo has a line for each type that it accepts
                for name in self.headers
                if name.lower() not in HOP_BY_HOP
            }
            reply = requests.request(
                self.command,
                f"http://{registry.host}{self.path}",
                headers=headers,
                data=body,
                timeout=60,
                allow_redirects=False,
                stream=True,
            )
            # As it came, not as requests would decode it.
            return Answer(reply.status_code, reply.raw.read(decode_content=False), dict(reply.headers))

        def chunk(self) -> bytes:
            data = self.rfile.read(int(self.rfile.readline(), 16))
            self.rfile.readline()
            return data

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield Registry(f"localhost:{server.server_port}")
        finally:
            server.shutdown()
