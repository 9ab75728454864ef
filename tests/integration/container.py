"""Containers: waiting for one, without waiting for a dead one."""

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
    """Return what the engine says that it can run, emulated or not."""
    return run("docker", "buildx", "inspect", "default")


def await_answer(
    container: DockerContainer, url: str, seconds: float = START_SECONDS, auth: tuple[str, str] | None = None
) -> None:
    """Wait until `url` answers `auth` with success; fail at once, with the log, when the container dies first."""
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
