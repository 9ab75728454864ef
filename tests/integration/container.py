"""Containers: waiting for one, without waiting for a dead one."""

import time

import pytest
import requests
from testcontainers.core.container import DockerContainer

START_SECONDS = 30


def await_answer(container: DockerContainer, url: str) -> None:
    """Wait until `url` answers with success; fail at once, with the log, when the container dies first."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if requests.get(url, timeout=1).ok:
                return
        except requests.ConnectionError:
            pass
        container.reload()
        if container.status == "exited" or time.monotonic() > deadline:
            pytest.fail(f"{url} did not answer ({container.status}):\n{b''.join(container.get_logs()).decode()}")
        time.sleep(0.05)
