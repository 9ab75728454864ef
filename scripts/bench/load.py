"""The load: wrk in a process of its own, with one thread and persistent connections."""

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from scripts import ROOT
from scripts.bench.server import Golden, Server
from scripts.errors import Failure
from scripts.host import debian
from scripts.process import attempt, output

SCRIPT = ROOT / "scripts" / "bench" / "programs" / "post.lua"


@dataclass(frozen=True)
class Load:
    """What one run of wrk measured."""

    pace: float
    """Requests per second."""
    p50: float
    """Milliseconds, like p99."""
    p99: float
    processor: float
    """Microseconds of processor time per request, over all processes of the contender."""


def provide_wrk() -> str:
    """Make sure that wrk is installed, from Debian packages if possible; return its version."""
    if not shutil.which("wrk"):
        system = debian.system()
        if not (system.has_apt and system.is_root):
            raise Failure("wrk is not installed", "install it: it is in Debian, Ubuntu, Fedora, Homebrew")
        debian.update()
        debian.install(["wrk"])
    return attempt("wrk", "--version").text.split("[", maxsplit=1)[0].strip()


def run_load(server: Server, golden: Golden, connections: int, seconds: float) -> Load:
    """Send one row repeatedly. Raises Failure when a request failed, or none was answered."""
    with tempfile.TemporaryDirectory() as folder:
        body = Path(folder, "body.json")
        body.write_bytes(server.body(golden.row))
        used = server.processor_seconds()
        printed = output("wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s",
                         "--timeout", "10s", "--script", str(SCRIPT), server.url, str(body))  # fmt: skip
        used = server.processor_seconds() - used
    found = json.loads(printed.splitlines()[-1])
    if found["refused"] or found["broken"] or not found["requests"]:
        raise Failure(
            f"{server.contender.name}: of {found['requests']} requests, {found['refused']} were refused and "
            f"{found['broken']} were cut off",
            f"docker logs {server.container}",
        )
    return Load(
        pace=found["requests"] / found["microseconds"] * 1e6,
        p50=found["p50"] / 1e3,
        p99=found["p99"] / 1e3,
        processor=used / found["requests"] * 1e6,
    )
