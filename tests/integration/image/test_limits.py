"""A container with little CPU and memory, and clients that are too slow or send too much."""

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any

import pytest
import requests

from tests.integration.service import Service, started_service

CPU_STAT = """
import os
path = "/sys/fs/cgroup/cpu.stat"  # cgroup v2
print(open(path if os.path.exists(path) else "/sys/fs/cgroup/cpu/cpu.stat").read())
"""


@pytest.mark.alone
@pytest.mark.parametrize(("cpus", "workers"), [(1.5, 1), (0.5, 1)])
def test_it_fits_into_the_container(candidate: str, cpus: float, workers: int) -> None:
    limits: dict[str, Any] = {"nano_cpus": int(cpus * 1e9), "mem_limit": "256m", "memswap_limit": "256m"}
    with started_service(candidate, **limits) as service:
        body = {"features": [service.card["golden"][0]["features"]] * 200}

        def client(_number: int) -> list[int]:
            with requests.Session() as session:
                return [session.post(f"{service.url}/predict", json=body, timeout=30).status_code for _ in range(20)]

        with ThreadPoolExecutor(8) as pool:
            statuses = [status for each in pool.map(client, range(8)) for status in each]
        metrics = service.metrics
        started = json.loads(service.log.splitlines()[0])
        cpu = throttling(service)
        state = state_of(service)

    assert statuses == [200] * 160
    assert started["workers"] == metrics["shipshape_workers{}"] == workers
    assert f"a quota of {cpus} processors (cgroup v" in started["workers_because"]
    assert metrics["shipshape_worker_starts_total{}"] == workers, "a worker died"
    assert state["Running"]
    assert not state["OOMKilled"]
    assert cpus < 1 or cpu["nr_throttled"] <= cpu["nr_periods"] / 5


def throttling(service: Service) -> dict[str, int]:
    """Return the number of CPU quota periods, and of those in which it ran out."""
    pairs = (line.split() for line in service.python(CPU_STAT).splitlines())
    return {name: int(value) for name, value in pairs}


def state_of(service: Service) -> dict[str, Any]:
    container = service.container.get_wrapped_container()
    container.reload()
    return dict(container.attrs["State"])


HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        pytest.param(HEAD + b"{", b"HTTP/1.1 408 ", id="in the body"),
        pytest.param(HEAD[:20], b"", id="in the head"),
    ],
)
def test_stalled_clients_do_not_block_others(candidate: str, sent: bytes, answer: bytes) -> None:
    environment = {"WORKERS": "1", "THREADS": "2", "REQUEST_SECONDS": "1"}
    with started_service(candidate, environment=environment) as service, ExitStack() as stack:
        slow = [stack.enter_context(connected(service)) for _ in range(4)]
        for connection in slow:
            connection.sendall(sent)

        assert requests.get(f"{service.url}/version", timeout=20).status_code == 200
        assert [read(connection)[: len(answer) or None] for connection in slow] == [answer] * 4


@pytest.mark.alone
@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        pytest.param(b"", 30, id="who say nothing"),
        pytest.param(b"GET /version HTTP/1.0\r\n\r\n", 30, id="who do not hang up"),
        pytest.param(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 2_000, 1, id="who do not read"),
    ],
)
def test_idle_clients_do_not_block_others(candidate: str, sent: bytes, seconds: int) -> None:
    environment = {"WORKERS": "1", "THREADS": "2", "REQUEST_SECONDS": str(seconds)}
    with started_service(candidate, environment=environment) as service, ExitStack() as stack:
        for _ in range(2 if seconds == 1 else 20):
            stack.enter_context(connected(service)).sendall(sent)
        time.sleep(1)  # the engine's proxy passes them on side by side: until the service has them all

        started = time.monotonic()
        for _ in range(5):
            assert requests.get(f"{service.url}/version", timeout=8).status_code == 200
        assert time.monotonic() - started < 8


@pytest.mark.alone
def test_a_client_that_trickles_is_cut_off(candidate: str) -> None:
    environment = {"REQUEST_SECONDS": "1"}
    with started_service(candidate, environment=environment) as service, connected(service) as connection:
        connection.sendall(HEAD)
        connection.settimeout(0.1)
        deadline = time.monotonic() + 20
        reply = b""
        while not reply and time.monotonic() < deadline:
            connection.sendall(b" ")
            with suppress(TimeoutError):
                reply = connection.recv(4096)

    assert reply.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        pytest.param([f"GET /{'x' * 5_000} HTTP/1.1"], 414, id="a long line"),
        pytest.param(["GET /version HTTP/1.1", f"Large: {'x' * 9_000}"], 431, id="a large header"),
        pytest.param(["GET /version HTTP/1.1", *(f"Many-{n}: x" for n in range(200))], 431, id="many headers"),
        pytest.param(["GET /version HTTP/1.1", "No colon"], 400, id="no header"),
        pytest.param(["POST /predict HTTP/1.1", "Transfer-Encoding: magic"], 400, id="an unknown transfer coding"),
        pytest.param(["nonsense"], 400, id="no HTTP"),
    ],
)
def test_a_head_beyond_the_limits_is_a_problem_document(service: Service, lines: list[str], status: int) -> None:
    with connected(service) as connection:
        connection.sendall("\r\n".join([*lines, "Host: x", "", ""]).encode())
        head, _, body = read(connection).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"Content-Type: application/problem+json" in head
    assert b"X-Request-ID: " in head
    assert json.loads(body)["status"] == status


def connected(service: Service) -> socket.socket:
    return socket.create_connection(("localhost", service.port), timeout=20)


def read(connection: socket.socket) -> bytes:
    """Return everything until the other side closes."""
    chunks = iter(lambda: connection.recv(65_536), b"")
    return b"".join(chunks)
