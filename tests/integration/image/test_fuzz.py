"""Fifty thousand hostile requests: none gets a 5xx, kills a worker or leaks memory."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.program import ROOT
from tests.integration.service import Service, started_service

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "50000"))
WARM_UP = 10_000
CLIENTS = 4
GROWTH_BYTES = 12 << 20  # 250 bytes a request would be more

PROCESSES = """
import json, pathlib
found = {}
for process in pathlib.Path("/proc").glob("[0-9]*"):
    if b"\\0app\\0" in (process / "cmdline").read_bytes():
        lines = (process / "smaps_rollup").read_text().splitlines()
        found[process.name] = next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def victim(candidate: str) -> Iterator[Service]:
    """A container for this test only, with two workers."""
    with started_service(candidate, environment={"WORKERS": "2"}) as service:
        yield service


def test_hostile_requests(victim: Service) -> None:
    attacked(victim, WARM_UP, seed=0)  # buffers and arenas grow to their size
    before = memory(victim)

    statuses = attacked(victim, REQUESTS, seed=CLIENTS)

    after = memory(victim)
    assert sum(statuses.values()) > 0.9 * REQUESTS  # the rest broke off before there was anything to answer
    assert {"200", "400", "404", "405", "413", "415"} <= statuses.keys()
    assert after.keys() == before.keys(), f"a process died:\n{victim.log[-5_000:]}"
    assert sum(after.values()) < sum(before.values()) + GROWTH_BYTES
    assert "Traceback" not in victim.log


def test_predictions_are_right_afterwards(victim: Service) -> None:
    card = victim.card

    answer = victim.predict([golden["features"] for golden in card["golden"]]).json()

    assert answer["prediction"] == pytest.approx([golden["prediction"] for golden in card["golden"]], rel=1e-9)
    assert victim.container.get_wrapped_container().attrs["RestartCount"] == 0


def attacked(victim: Service, count: int, seed: int) -> Counter[str]:
    """Send `count` requests from several processes with different seeds, and return the statuses."""
    body = json.dumps({"features": victim.card["golden"][0]["features"]})
    command = [sys.executable, "-m", "tests.integration.hostile", str(victim.port)]
    clients = [
        subprocess.Popen(
            [*command, str(seed + number), str(count // CLIENTS), body],
            cwd=ROOT,
            env={**os.environ, "MODEL": victim.card["name"]},
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(CLIENTS)
    ]
    reports: list[dict[str, Any]] = [json.loads(client.communicate()[0]) for client in clients]
    wrong = [line for report in reports for line in report["wrong"]]
    assert not wrong, "\n".join(wrong)
    assert sum(report["sent"] for report in reports) >= count // CLIENTS * CLIENTS
    return sum((Counter(report["statuses"]) for report in reports), Counter())


def memory(victim: Service) -> dict[str, int]:
    """Return the proportional set size of each process of the service, in bytes by process ID."""
    found: dict[str, int] = json.loads(victim.python(PROCESSES))
    return found
