"""A registry in this process, on loopback, whose answers a test can override."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def error(status: int, code: str, message: str = "") -> Reply:
    """Return an error in the form of the OCI distribution-spec v1.1."""
    return Reply(status, json.dumps({"errors": [{"code": code, "message": message or code}]}).encode())


@dataclass
class Registry:
    """One repository, whatever its name."""

    host: str = ""
    content: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """Media type and bytes of each manifest, by tag and digest, and of each blob, by digest."""
    says: dict[str, Reply] = field(default_factory=dict)
    """Answers that override the true ones, by a pattern of `METHOD path`."""

    def put(self, name: str, document: dict[str, Any] | bytes, kind: str = MANIFEST) -> str:
        """Store a manifest or a blob under `name` and its digest; return the digest."""
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.content[name] = self.content[digest] = (kind, data)
        return digest

    def put_image(self, name: str, config: dict[str, Any] | bytes) -> str:
        """Store an image without layers under `name`; return its digest."""
        data = config if isinstance(config, bytes) else json.dumps(config).encode()
        blob = {"mediaType": CONFIG, "digest": self.put("", data, CONFIG), "size": len(data)}
        return self.put(name, {"schemaVersion": 2, "mediaType": MANIFEST, "config": blob, "layers": []})

    def answer(self, method: str, path: str, kind: str, body: bytes) -> Reply:
        for pattern, reply in self.says.items():
            if re.fullmatch(pattern, f"{method} {path}"):
                return reply
        where, query = urlsplit(path).path, parse_qs(urlsplit(path).query)
        what, name = where.split("/")[-2:]
        if method in {"POST", "PATCH", "PUT"}:
            return self.write(method, where, query.get("digest", [name])[0], kind, body)
        if what == "tags":
            tags = [tag for tag in self.content if tag and not tag.startswith("sha256:")]
            return Reply(200, json.dumps({"name": "x", "tags": tags}).encode())
        if name in self.content:
            return Reply(200, self.content[name][1], {"Content-Type": self.content[name][0]})
        return Reply(200) if where == "/v2/" else error(404, "MANIFEST_UNKNOWN", "manifest unknown")

    def write(self, method: str, where: str, name: str, kind: str, body: bytes) -> Reply:
        """Store a manifest or a blob; the client first asks to start an upload of a blob, and then finishes it."""
        if method == "POST":
            return Reply(202, headers={"Location": f"{where}1"})
        if method == "PATCH":
            self.content["uploaded"] = (CONFIG, body)
            return Reply(202, headers={"Location": where})
        self.put(name, body or self.content.pop("uploaded")[1], kind)
        return Reply(201)


@contextmanager
def serving(registry: Registry) -> Iterator[Registry]:
    """Serve `registry` on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            length, chunked = int(self.headers.get("Content-Length", 0)), self.headers.get("Transfer-Encoding")
            body = b"".join(iter(self.chunk, b"")) if chunked else self.rfile.read(length)
            reply = registry.answer(self.command, self.path, self.headers.get("Content-Type", ""), body)
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do  # noqa: N815 - as http.server calls them

        def chunk(self) -> bytes:
            data = self.rfile.read(int(self.rfile.readline(), 16))
            self.rfile.readline()
            return data

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        registry.host = f"localhost:{server.server_port}"
        try:
            yield registry
        finally:
            server.shutdown()
            thread.join()
