"""Metrics that add up, log lines and request IDs; and API keys."""

import itertools
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests

from tests.integration.service import Service, started_service

WORKERS = 4
CONNECTIONS = 8
KEY, FILED_KEY = "a-key-for-the-tests-only", "another-key-in-a-file"

ANSWERED = "http_requests_total{POST,/predict,200}"
REFUSED = "http_requests_total{POST,/predict,400}"
TIMED = "http_request_duration_seconds_count{POST,/predict}"
ROWS = "shipshape_predicted_rows_total{}"

KILL_A_WORKER = """
import os, signal
children = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and int(pid) > 1
            and open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1] == "1"]
os.kill(max(children), signal.SIGKILL)
print(len(children))
"""


def test_metrics_add_up_over_four_workers_even_after_one_is_killed(candidate: str) -> None:
    with started_service(candidate, environment={"WORKERS": str(WORKERS)}) as service:
        row = service.card["golden"][0]["features"]

        until(lambda: service.metrics["shipshape_workers{}"] == WORKERS)
        ask(service, row, "first")
        until(lambda: service.log.count('"/predict"') == CONNECTIONS * 11)  # a worker gathers its lines for a moment
        assert service.python(KILL_A_WORKER) == str(WORKERS)
        until(lambda: service.metrics["shipshape_worker_starts_total{}"] == WORKERS + 1)
        ask(service, row, "second")

        found = [service.metrics for _ in range(2 * WORKERS)]  # whichever worker it is that answers
        until(lambda: service.log.count('"/predict"') == 2 * CONNECTIONS * 11)
        lines = [json.loads(line) for line in service.log.splitlines()]

    for metrics in found:
        assert metrics[ANSWERED] == 2 * CONNECTIONS * 10
        assert metrics[REFUSED] == 2 * CONNECTIONS
        assert metrics[TIMED] == 2 * CONNECTIONS * 11
        assert metrics[ROWS] == 2 * CONNECTIONS * 30
        assert metrics["http_requests_in_flight{}"] == 1
        assert metrics["shipshape_workers{}"] == WORKERS
    turns = itertools.product(("first", "second"), range(CONNECTIONS), range(11))
    sent = [f"{turn}-{number}-{count}" for turn, number, count in turns]
    logged = [line for line in lines if "id" in line and line["path"] == "/predict"]
    assert sorted(line["id"] for line in logged) == sorted(sent)
    assert sum(line["rows"] for line in logged) == metrics[ROWS]
    [death] = [line["message"] for line in lines if line["level"] == "error"]
    assert "SIGKILL" in death


def ask(service: Service, row: object, turn: str) -> None:
    """Send concurrent requests: ten with three rows, and one that is a 400."""

    def client(number: int) -> None:
        with requests.Session() as session:
            for count in range(11):
                body: dict[str, Any] = {"features": [row] * 3 if count else {}}
                identity = f"{turn}-{number}-{count}"
                reply = session.post(
                    f"{service.url}/predict", json=body, headers={"X-Request-ID": identity}, timeout=10
                )
                assert reply.status_code == (200 if count else 400)
                assert reply.headers["X-Request-ID"] == identity

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(client, range(CONNECTIONS)))


def test_a_worker_killed_under_load_loses_no_count_of_an_answer(candidate: str) -> None:
    with started_service(candidate, environment={"WORKERS": "2", "ACCESS_LOG": "off"}) as service:
        body = {"features": service.card["golden"][0]["features"]}
        until(lambda: service.metrics["shipshape_workers{}"] == 2)
        tally: dict[str, int] = {"sent": 0, "answered": 0}
        lock, over = threading.Lock(), threading.Event()

        def client(_number: int) -> None:
            while not over.is_set():
                with lock:
                    tally["sent"] += 1
                try:
                    reply = requests.post(f"{service.url}/predict", json=body, timeout=10)
                except requests.RequestException:  # broken off, at any point
                    continue
                assert reply.status_code == 200
                with lock:
                    tally["answered"] += 1

        with ThreadPoolExecutor(4) as pool:
            done = pool.map(client, range(4))
            until(lambda: tally["answered"] > 50)
            service.python(KILL_A_WORKER)
            before = tally["answered"]
            until(lambda: tally["answered"] > before + 100)
            over.set()
            list(done)
        metrics = service.metrics

    assert tally["answered"] <= metrics[ANSWERED] <= tally["sent"]
    assert metrics[ANSWERED] == metrics[TIMED] == metrics[ROWS]
    assert metrics["http_requests_in_flight{}"] == 1


def test_the_log_is_json_with_one_line_for_the_start(candidate: str) -> None:
    with started_service(candidate) as service:
        card = service.card
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
        assert requests.get(f"{service.url}/nowhere", headers=headers, timeout=10).headers["X-Request-ID"] == trace
        until(lambda: service.log.count("\n") == 2)
        started, request = [json.loads(line) for line in service.log.splitlines()]

    assert started["model"] == card["name"]
    assert card["sha256"].startswith(started["sha256"])
    assert started["workers"] >= 1
    assert started["workers_because"]
    assert (request["id"], request["path"], request["status"]) == (trace, "/nowhere", 404)


def test_with_api_keys_only_their_bearers_are_answered(candidate: str, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"{FILED_KEY}\n")
    (tmp_path / "keys").chmod(0o644)
    environment = {"API_KEYS": KEY, "API_KEYS_FILE": "/run/keys"}
    volumes = [(str(tmp_path / "keys"), "/run/keys", "ro")]
    with started_service(candidate, environment=environment, volumes=volumes) as service:
        row = service.card["golden"][0]["features"]
        nobody = service.predict(row)
        bearers = [
            requests.post(
                f"{service.url}/predict",
                json={"features": row},
                headers={"Authorization": f"Bearer {key}"},
                timeout=10,
            )
            for key in (KEY, FILED_KEY, "not-a-key-of-this-service")
        ]

    assert nobody.status_code == 401
    assert nobody.headers["WWW-Authenticate"] == "Bearer"
    assert nobody.headers["Content-Type"] == "application/problem+json"
    assert [bearer.status_code for bearer in bearers] == [200, 200, 401]


def test_help_names_every_setting(service: Service) -> None:
    said = service.container.exec(["python3", "-m", "app", "--help"]).output.decode()

    assert {"PORT", "WORKERS", "API_KEYS_FILE", "REQUEST_SECONDS"} <= set(said.split())


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
