"""The image, run as in production."""

import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
from prometheus_client.parser import text_string_to_metric_families
from testcontainers.core.container import DockerContainer

from tests.integration.container import START_SECONDS, await_answer
from tests.integration.side_by_side import LABELS

# See compose.yaml.
HARDENED: dict[str, Any] = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "mem_limit": "512m",
    "pids_limit": 256,
}


@dataclass(frozen=True)
class Service:
    """A running container of the image."""

    port: int
    """Of this machine."""
    container: DockerContainer

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def card(self) -> dict[str, Any]:
        """The model card inside the image."""
        return dict(json.loads(self.file("/model/card.json")))

    def file(self, path: str) -> bytes:
        """Return the content of one file in the container."""
        chunks, _ = self.container.get_wrapped_container().get_archive(path)
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            member = archive.extractfile(archive.getmembers()[0])
            assert member is not None
            return member.read()

    def predict(self, features: object) -> requests.Response:
        return requests.post(f"{self.url}/predict", json={"features": features}, timeout=30)

    def python(self, code: str) -> str:
        """Return the output of `code`, run by the Python of the image in this container."""
        done = self.container.exec(["python3", "-c", code])
        assert done.exit_code == 0, done.output.decode()
        return done.output.decode().strip()

    @property
    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics, as `name{label values in the order of the labels' names}`."""
        text = requests.get(f"{self.url}/metrics", timeout=10).text
        return {
            f"{sample.name}{{{','.join(value for _, value in sorted(sample.labels.items()))}}}": sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    @property
    def log(self) -> str:
        return b"".join(self.container.get_logs()).decode()


@contextmanager
def started_service(
    reference: str,
    *,
    environment: dict[str, str] | None = None,
    port: int = 5000,
    seconds: float = START_SECONDS,
    **limits: Any,
) -> Iterator[Service]:
    """Run the image `reference` as in production, with `limits` for docker run, and wait until it is ready.

    Fails when that takes more than `seconds`.
    """
    container = DockerContainer(reference, env=environment, labels=LABELS, **HARDENED | limits).with_exposed_ports(port)
    with container:
        service = Service(container.get_exposed_port(port), container)
        await_answer(container, f"{service.url}/readyz", seconds)
        yield service
