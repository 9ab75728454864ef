"""A service on this machine that answers as OSV documents it: https://google.github.io/osv.dev/api/."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# What every OSV knows: versions that are vulnerable for sure.
KNOWN = {("jinja2", "2.4.1"), ("openssl", "1.0.1e-1"), ("https://github.com/python/cpython", "v3.8.0")}


@dataclass
class Osv:
    """What the service knows, and how it misbehaves; both can change while it runs."""

    advisories: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """By the name of the package; all of its versions are vulnerable."""
    page: int = 1000
    """Vulnerabilities of one package in one reply."""
    failures: int = 0
    """Requests to answer with 503 before the next proper answer."""
    truncate: bool = False
    asked: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def reply(self, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if path == "/v1/querybatch":
            queries = json.loads(body)["queries"]
            self.asked += queries
            return 200, {"results": [self._result(query) for query in queries]}
        every = [advisory for advisories in self.advisories.values() for advisory in advisories]
        for advisory in every:
            if path == f"/v1/vulns/{advisory['id']}":
                return 200, advisory
        return 404, {"code": 5, "message": "Bug not found."}

    def _result(self, query: dict[str, Any]) -> dict[str, Any]:
        package = query["package"]
        if (package["name"], query["version"]) in KNOWN:
            return {"vulns": [{"id": "CVE-2014-0160", "modified": "2023-03-14T05:47:39.989396Z"}]}
        found = self.advisories.get(package["name"], [])
        start = int(query.get("page_token", 0))
        end = start + self.page
        if not found:
            return {}
        some = {"vulns": [{"id": one["id"], "modified": one["modified"]} for one in found[start:end]]}
        return some | ({"next_page_token": str(end)} if end < len(found) else {})


def advisory(name: str, package: str, ecosystem: str, *fixed: str, **affected: Any) -> dict[str, Any]:
    """Return an advisory in the form of https://ossf.github.io/osv-schema/."""
    events = [{"introduced": "0"}, *({"fixed": version} for version in fixed)]
    return {
        "id": name,
        "modified": "2026-11-01T05:47:39.989396Z",
        "published": "2026-10-30T00:00:00Z",
        "upstream": [name.removeprefix("DEBIAN-")],
        "details": "A buffer is read past its end.",
        "affected": [
            {
                "package": {"name": package, "ecosystem": ecosystem, "purl": f"pkg:generic/{package}"},
                "ranges": [{"type": "ECOSYSTEM", "events": events}],
                **affected,
            }
        ],
        "schema_version": "1.7.0",
    }


@contextmanager
def started_osv() -> Iterator[Osv]:
    osv = Osv()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, body: bytes) -> None:
            status, reply = osv.reply(self.path, body)
            if osv.failures:
                osv.failures -= 1
                status, reply = 503, {"message": "busy"}
            text = json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text[: len(text) // 2] if osv.truncate else text)
            self.close_connection = osv.truncate

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        osv.url = f"http://127.0.0.1:{server.server_port}"
        yield osv
        server.shutdown()
