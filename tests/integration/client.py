"""Real clients of the protocols, each in its own virtual environment."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.integration.program import ROOT

PROGRAMS = ROOT / "tests" / "integration" / "clients"
ENVIRONMENTS = ROOT / "build" / "clients"
INSTALL_SECONDS = 300
ASK_SECONDS = 60


def asked(name: str, question: dict[str, Any]) -> dict[str, Any]:
    """Run the client `name` with a question and return its answer; both are JSON."""
    done = subprocess.run(
        [_python(name), PROGRAMS / f"ask_{name}.py"],
        input=json.dumps(question),
        check=False,
        capture_output=True,
        text=True,
        timeout=ASK_SECONDS,
        cwd=ENVIRONMENTS,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _python(name: str) -> Path:
    """Return the Python of the client; its environment is created once for each lock file and interpreter."""
    lock = PROGRAMS / f"{name}.txt"
    key = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:12]
    place = ENVIRONMENTS / f"{name}-{key}"
    if not (place / "complete").exists():
        for stale in ENVIRONMENTS.glob(f"{name}-*"):
            shutil.rmtree(stale)
        _uv("venv", "--python", sys.executable, str(place))
        _uv("pip", "sync", "--python", str(place), "--require-hashes", str(lock))
        (place / "complete").touch()
    return place / "bin" / "python"


def _uv(*arguments: str) -> None:
    """Run the uv beside this Python, with the certificates of this machine, like ./ship."""
    command = [str(Path(sys.executable).with_name("uv")), "--quiet", *arguments]
    environment = {**os.environ, "UV_SYSTEM_CERTS": "1"}
    done = subprocess.run(
        command, env=environment, check=False, capture_output=True, text=True, timeout=INSTALL_SECONDS
    )
    assert done.returncode == 0, done.stderr
