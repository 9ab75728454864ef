"""The load: wrk, a process of its own, with one thread and connections that it keeps open."""

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
    """Requests a second."""
    p50: float
    """Milliseconds, as the next."""
    p99: float
    processor: float
    """Microseconds of processor time that the contender used for a request, all its processes together."""


def provide_wrk() -> str:
    """Make sure that wrk is here, from Debian's packages where that can be; return its version."""
    if not shutil.which("wrk"):
        system = debian.system()
        if not (system.has_apt and system.is_root):
            raise Failure("wrk is not installed", "install it: it is in Debian, Ubuntu, Fedora, Homebrew")
        debian.update()
        debian.install(["wrk"])
    return attempt("wrk", "--version").text.split("[", maxsplit=1)[0].strip()


def run_load(server: Server, golden: Golden, connections: int, seconds: float) -> Load:
    """Send one row again and again. Raises Failure when an answer was not a success, or none came."""
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
            f"{found['broken']} broke off",
            f"docker logs {server.container}",
        )
    return Load(
        pace=found["requests"] / found["microseconds"] * 1e6,
        p50=found["p50"] / 1e3,
        p99=found["p99"] / 1e3,
        processor=used / found["requests"] * 1e6,
    )
