"""The service refuses to start with a wrong model or setting, and stops without losing a request."""

import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from testcontainers.core.container import DockerContainer

from tests.integration.program import run
from tests.integration.service import HARDENED, Service, started_service
from tests.integration.side_by_side import LABELS

GRACE_SECONDS = 10  # docker stop's own; Kubernetes gives 30


def refusal(reference: str, model: Path | None = None, **environment: str) -> str:
    """Return the message with which the image refuses to start."""
    container = DockerContainer(reference, env=environment, labels=LABELS, **HARDENED)
    if model:
        container.with_volume_mapping(model, "/model")
    with container:
        assert container.wait() != 0
        said = b"".join(container.get_logs()).decode()
    assert "Traceback" not in said
    return said


@pytest.fixture
def model(service: Service, tmp_path: Path) -> Path:
    """A copy of the image's model directory."""
    for name in ("card.json", service.card["format"]):
        name = name if name == "card.json" else f"model.{name}"  # noqa: PLW2901
        (tmp_path / name).write_bytes(service.file(f"/model/{name}"))
        (tmp_path / name).chmod(0o644)
    tmp_path.chmod(0o755)
    return tmp_path


def test_a_changed_model_file_is_refused(candidate: str, model: Path) -> None:
    (model / "model.onnx").write_bytes((model / "model.onnx").read_bytes() + b"\0")

    assert "sha256" in refusal(candidate, model)


def test_a_wrong_golden_row_is_refused(candidate: str, model: Path) -> None:
    edit(model, lambda card: card["golden"][0].update(prediction=card["golden"][0]["prediction"] * 2 + 1))

    assert "golden" in refusal(candidate, model)


def test_another_library_version_is_refused(candidate: str, model: Path) -> None:
    edit(model, lambda card: card["runtime"].update(onnxruntime="0.1"))

    assert "onnxruntime" in refusal(candidate, model)


def test_a_directory_without_a_model_is_refused(candidate: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    assert "card.json" in refusal(candidate, tmp_path)


def test_a_wrong_setting_is_refused(candidate: str) -> None:
    assert "PORT" in refusal(candidate, PORT="five thousand")


def edit(model: Path, change: Callable[[dict[str, Any]], None]) -> None:
    card = json.loads((model / "card.json").read_bytes())
    change(card)
    (model / "card.json").write_text(json.dumps(card))


@pytest.mark.parametrize("variable", ["PORT", "AIP_HTTP_PORT", "SAGEMAKER_BIND_TO_PORT"])
def test_the_port_is_that_of_the_platform(candidate: str, variable: str) -> None:
    with started_service(candidate, environment={variable: "8080"}, port=8080) as service:
        assert requests.get(f"{service.url}/healthz", timeout=10).ok


@dataclass
class Client(threading.Thread):
    """A client behind a load balancer: it sends requests while the service is ready."""

    url: str
    row: object
    keep_alive: bool
    answered: int = 0
    lost: list[str] = field(default_factory=list)
    __hash__ = threading.Thread.__hash__

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def run(self) -> None:
        session = requests.Session()
        try:
            while self._ask(session, "GET", "/readyz").ok:
                reply = self._ask(session, "POST", "/predict")
                if reply.status_code == 200 and len(reply.json()["prediction"]) == 1:
                    self.answered += 1
                else:
                    self.lost.append(f"{reply.status_code} {reply.text}")
        except requests.RequestException as broken:
            self.lost.append(repr(broken))

    def _ask(self, session: requests.Session, method: str, path: str) -> requests.Response:
        client = session if self.keep_alive else requests
        body = {"features": self.row} if method == "POST" else None
        return client.request(method, self.url + path, json=body, timeout=GRACE_SECONDS)


@pytest.mark.alone
def test_docker_stop_loses_no_request(candidate: str) -> None:
    with started_service(candidate) as service:
        row = service.card["golden"][0]["features"]
        clients = [Client(service.url, row, keep_alive=number % 2 == 0) for number in range(8)]
        for client in clients:
            client.start()
        await_true(lambda: all(client.answered > 20 for client in clients))

        started = time.monotonic()
        run("docker", "stop", "--time", str(GRACE_SECONDS), service.container.get_container_id())
        seconds = time.monotonic() - started
        for client in clients:
            client.join(GRACE_SECONDS)

        assert [client.lost for client in clients if client.lost] == []
        assert seconds < GRACE_SECONDS
        assert service.container.wait() == 0


@pytest.mark.alone
def test_a_half_sent_request_is_answered_at_the_stop(candidate: str) -> None:
    with started_service(candidate) as service:
        body = json.dumps({"features": service.card["golden"][0]["features"]}).encode()
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        with socket.create_connection(("localhost", service.port), timeout=GRACE_SECONDS) as connection:
            connection.sendall(f"{head}\r\n".encode() + body[:10])
            service.container.get_wrapped_container().kill("SIGTERM")
            await_true(lambda: requests.get(f"{service.url}/readyz", timeout=5).status_code == 503)
            connection.sendall(body[10:])
            reply = connection.recv(65536)

        assert reply.startswith(b"HTTP/1.1 200")


def await_true(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
