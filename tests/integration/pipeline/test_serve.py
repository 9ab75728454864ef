"""`./ship serve`: the service from a clone, without Docker, and what it does when a file changes."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from tests.integration.checkout import clone_of_the_work_tree

SECONDS = 120


class Serving(NamedTuple):
    """A running `./ship serve`."""

    checkout: Path
    process: "subprocess.Popen[str]"
    log: Path
    port: int

    def await_words(self, words: str, times: int = 1) -> str:
        """Return what was printed, once `words` are among it so many `times`."""
        deadline = time.monotonic() + SECONDS
        while (printed := self.log.read_text()).count(words) < times:
            assert self.process.poll() is None, printed
            assert time.monotonic() < deadline, printed
            time.sleep(0.1)
        return printed


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    checkout = clone_of_the_work_tree(tmp_path / "shipshape").path
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path / "log"
    with log.open("w") as written:
        command = [sys.executable, "-m", "scripts", "serve"]
        environment = {**os.environ, "PORT": str(port), "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            command, cwd=checkout, env=environment, stdout=written, stderr=subprocess.STDOUT, text=True
        )
        try:
            yield Serving(checkout, process, log, port)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def test_a_change_of_the_service_is_answered_with_and_ctrl_c_ends_it(serving: Serving) -> None:
    printed = serving.await_words("Ctrl-C ends it")

    [curl] = [line.strip() for line in printed.splitlines() if "curl -X POST" in line]
    answer = subprocess.run(["sh", "-c", f"{curl} --fail"], check=True, capture_output=True, text=True)
    assert '"prediction":[' in answer.stdout
    version = f"http://127.0.0.1:{serving.port}/version"
    assert requests.get(version, timeout=10).json()["version"] == "1.0.0"

    health = serving.checkout / "app/health.py"
    right = health.read_text()
    health.write_text(f"{right}def (\n")
    serving.await_words("waiting for the next change")
    health.write_text(right.replace('"revision": settings.image_revision', '"revision": "changed"'))
    printed = serving.await_words("started again")
    assert requests.get(version, timeout=10).json()["revision"] == "changed"
    assert printed.count("-m training") == 1, "the model is made of nothing that changed"

    serving.process.send_signal(signal.SIGINT)
    assert serving.process.wait(60) == 0
    assert "stopped" in serving.log.read_text()
    with pytest.raises(requests.ConnectionError):
        requests.get(version, timeout=10)


def test_a_port_that_is_taken_is_said_at_the_start(tmp_path: Path) -> None:
    checkout = clone_of_the_work_tree(tmp_path / "shipshape")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = checkout.ship("serve", PORT=port)

    assert done.returncode == 1
    assert f"port {port} cannot be listened on: Address already in use" in done.stdout
    assert not (checkout.path / "build/model").exists()
