"""A contender in its container: starting it, sending requests, and measuring it from outside."""

import json
import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts import BUILD
from scripts.bench.contenders import OURS, Contender, Row
from scripts.errors import Failure
from scripts.process import attempt, output

START_SECONDS = 90
# Other versions of the libraries fit a model that differs in the last digits; a wrong answer differs in the first.
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Golden:
    """A row and its right prediction."""

    row: Row
    prediction: float

    def fits(self, found: float) -> bool:
        """Whether `found` is the right answer."""
        return abs(found - self.prediction) <= TOLERANCE * abs(self.prediction)


def golden_rows() -> list[Golden]:
    """Return the golden rows on the card of the image, without those with missing values, which tutorials refuse."""
    container = output("docker", "create", OURS)
    try:
        output("docker", "cp", "--quiet", f"{container}:/model/card.json", str(BUILD / "card.json"))
    finally:
        output("docker", "rm", container)
    golden = json.loads((BUILD / "card.json").read_bytes())["golden"]
    return [Golden(one["features"], one["prediction"]) for one in golden if None not in one["features"].values()]


@dataclass(frozen=True)
class Server:
    """A running contender."""

    contender: Contender
    container: str
    port: int

    @property
    def url(self) -> str:
        """Where it accepts rows."""
        return f"http://127.0.0.1:{self.port}{self.contender.path}"

    def post(self, body: bytes) -> bytes:
        """Send one request on its own connection. Raises OSError unless the answer is a success."""
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})  # noqa: S310 - ours
        with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310
            return bytes(reply.read())

    def body(self, row: Row) -> bytes:
        """Return the request for one row."""
        return json.dumps(self.contender.ask(row)).encode()

    def answers(self, golden: Golden) -> bool:
        """Return whether it gives the right answer yet. Raises Failure when the answer is wrong."""
        try:
            reply = self.post(self.body(golden.row))
        except OSError:
            return False
        found = self.contender.tell(json.loads(reply))
        if not golden.fits(found):
            raise Failure(f"{self.contender.name} predicts {found} instead of {golden.prediction}")
        return True

    def check(self, golden: list[Golden]) -> None:
        """Wait for the first answer, then raise Failure unless every answer is right."""
        deadline = time.monotonic() + START_SECONDS
        while not self.answers(golden[0]) and time.monotonic() < deadline:
            time.sleep(0.1)  # some listen before their model is loaded
        for one in golden[:1] if self.contender.constant else golden:
            if not self.answers(one):
                raise Failure(f"{self.contender.name} does not answer {one.row}", f"docker logs {self.container}")

    def memory(self) -> float:
        """Return the memory of all its processes in MB, counting shared pages once (PSS). Needs root."""
        return sum(self._proportional(process) for process in self._processes()) / 1000

    def processor_seconds(self) -> float:
        """Return the processor time that all its processes have used."""
        ticks = 0
        for process in self._processes():
            # proc_pid_stat(5): utime and stime are fields 14 and 15; the name in brackets ends field 2.
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def _processes(self) -> list[str]:
        return output("docker", "top", self.container, "-eo", "pid").split()[1:]

    @staticmethod
    def _proportional(process: str) -> int:
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except PermissionError as refused:
            raise Failure("only root can read the memory of a container's processes", "sudo ./ship bench") from refused
        return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


@contextmanager
def started(contender: Contender, workers: int, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run a contender on the host's network, like all others, and wait until it answers.

    Raises Failure when it dies or does not answer.
    """
    server = launch(contender, workers, settings)
    try:
        _await_connection(server)
        yield server
    finally:
        attempt("docker", "rm", "--force", "--volumes", server.container)


def launch(contender: Contender, workers: int, settings: Mapping[str, str] | None = None) -> Server:
    """Start the container of a contender without waiting for an answer; the caller removes it."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = int(held.getsockname()[1])
    name = f"shipshape-bench-{contender.key}-{port}"
    environment = {"PORT": str(port), "HOST": "127.0.0.1", "WORKERS": str(workers), **(settings or {})}
    given = [word for variable, value in environment.items() for word in ("--env", f"{variable}={value}")]
    output("docker", "run", "--detach", "--name", name, "--network", "host", "--log-driver", "local", *given,
           *contender.options, contender.image, *contender.command)  # fmt: skip
    return Server(contender, name, port)


def _await_connection(server: Server) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(server.url, b"{}", timeout=5).close()  # noqa: S310 - our own
        except urllib.error.HTTPError:
            return  # it refused an empty request, so it is up
        except OSError:
            state = attempt("docker", "container", "inspect", "--format", "{{.State.Running}}", server.container)
            if state.text != "true" or time.monotonic() > deadline:
                logs = attempt("docker", "logs", "--tail", "5", server.container)
                raise Failure(f"{server.contender.name} does not answer: {logs.words}") from None
            time.sleep(0.05)
        else:
            return
