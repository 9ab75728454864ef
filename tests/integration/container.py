"""Waiting for containers, but not for dead ones."""

import time

import pytest
import requests
from testcontainers.core.container import DockerContainer

from tests.integration.program import run

START_SECONDS = 30
EMULATED_START_SECONDS = 120


def native_platform() -> str:
    """Return the platform of the engine's machine, such as linux/amd64."""
    return run("docker", "version", "--format", "{{.Server.Os}}/{{.Server.Arch}}")


def runnable_platforms() -> str:
    """Return the platforms that the engine can run, emulated or not."""
    return run("docker", "buildx", "inspect", "default")


def await_answer(
    container: DockerContainer, url: str, seconds: float = START_SECONDS, auth: tuple[str, str] | None = None
) -> None:
    """Wait until `url` answers a request with `auth`; fail at once, with the log, when the container dies."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if requests.get(url, timeout=1, auth=auth).ok:
                return
        except (requests.ConnectionError, requests.Timeout):
            pass
        container.reload()
        if container.status == "exited" or time.monotonic() > deadline:
            pytest.fail(f"{url} did not answer ({container.status}):\n{b''.join(container.get_logs()).decode()}")
        time.sleep(0.05)
