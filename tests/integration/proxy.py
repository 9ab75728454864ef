"""A registry that lies, or in which something happens at the wrong moment: a proxy in front of a real one."""

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
    body: bytes
    headers: dict[str, str]


Change = Callable[[str, Answer], Answer]
"""Given the path of what was read, and the true answer, returns what is told; called after it was true."""


@contextmanager
def in_front_of(registry: Registry, change: Change) -> Iterator[Registry]:
    """Answer as `registry` does, but for what `change` makes of the answers to GET."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            chunked = "chunked" in self.headers.get("Transfer-Encoding", "")
            body = (
                b"".join(iter(self.chunk, b""))
                if chunked
                else self.rfile.read(int(self.headers["Content-Length"] or 0))
            )
            headers = {
                name: ", ".join(self.headers.get_all(name, []))  # skopeo has a line for each type that it accepts
                for name in self.headers
                if name.lower() not in HOP_BY_HOP
            }
            url = f"http://{registry.host}{self.path}"
            reply = requests.request(
                self.command, url, headers=headers, data=body, timeout=60, allow_redirects=False, stream=True
            )
            # As it came, not as requests would decode it.
            answer = Answer(reply.status_code, reply.raw.read(decode_content=False), dict(reply.headers))
            if self.command == "GET":
                answer = change(self.path, answer)
            self.tell(answer, reply.headers.get("Content-Length", "0") if self.command == "HEAD" else None)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do  # noqa: N815 - as http.server calls them

        def tell(self, answer: Answer, length: str | None) -> None:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", length or str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

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
