"""`./ship promote`, `rollback`, `status` and `up ENV`, with two releases on their way through the environments."""

import json
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.integration.checkout import Checkout, build, clone
from tests.integration.program import run
from tests.integration.registry import Registry

NEXT = "99.1.0"


@dataclass(frozen=True)
class Project:
    """A clone with both releases published and none promoted."""

    checkout: Checkout
    repository: str
    digests: dict[str, str]
    variables: dict[str, str]

    @property
    def first(self) -> str:
        """The version that was published first."""
        return next(iter(self.digests))

    def ship(self, *arguments: str, status: int = 0) -> str:
        """Run `./ship ARGUMENTS`, which must exit with `status`, and return its output."""
        done = self.checkout.ship(*arguments, **self.variables)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def promote(self, version: str, *environments: str) -> None:
        for environment in environments:
            self.ship("promote", version, environment)

    @property
    def versions(self) -> list[str | None]:
        """The recorded versions of dev, test and prod by `./ship status`, with their digests checked."""
        rows = json.loads(self.ship("status", "--json"))
        assert all(row["digest"] == self.digests.get(row["version"]) for row in rows)
        return [row["version"] for row in rows]

    def runs(self, environment: str) -> tuple[str, str]:
        """The state of `environment` and its detail."""
        [row] = [row for row in json.loads(self.ship("status", "--json")) if row["environment"] == environment]
        return row["runs"], row["detail"]

    def git(self, *arguments: str) -> str:
        return run("git", *arguments, cwd=self.checkout.path)


@pytest.fixture(scope="module")
def released(built_checkout: Checkout, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The built version and a later one, published once from one clone, because that is slow."""
    checkout = Checkout(tmp_path_factory.mktemp("released") / "shipshape")
    shutil.copytree(built_checkout.path, checkout.path)
    repository = f"{registry.host}/promote/house-price"
    variables = {"SHIP_REGISTRIES": repository, "COMPOSE_PROJECT_NAME": f"promote-{uuid.uuid4().hex[:8]}"}
    project = Project(checkout, repository, {}, variables)
    publish(project)
    set_version(checkout, NEXT)
    project.git("commit", "--quiet", "--all", "--message", NEXT)
    build(checkout)
    publish(project)
    return project


@pytest.fixture
def project(released: Project, tmp_path: Path) -> Project:
    return replace(
        released, checkout=clone(released.checkout, tmp_path / "shipshape"), variables={**released.variables}
    )


@pytest.fixture
def port() -> int:
    """A free port of this machine."""
    with socket.create_server(("localhost", 0)) as held:
        return int(held.getsockname()[1])


@pytest.fixture
def startable(project: Project, port: int) -> Iterator[Project]:
    """The project with a port for `up test`, whose containers are removed at the end."""
    project = replace(project, variables={**project.variables, "PORT": str(port)})
    yield project
    project.ship("down", "test")
    for digest in run("docker", "images", "--format", "{{.Digest}}", project.repository).split():
        run("docker", "image", "rm", "--force", f"{project.repository}@{digest}")


def publish(project: Project) -> None:
    """Publish the built image as if its tests had passed."""
    project.checkout.count_as_tested()
    project.ship("scan", "--allow-unchecked")
    project.ship("publish")
    project.digests[project.checkout.image["version"]] = str(project.checkout.image["digest"])


def set_version(checkout: Checkout, version: str) -> None:
    path = checkout.path / "ship.toml"
    lines = [
        f'version = "{version}"' if line.startswith("version =") else line for line in path.read_text().splitlines()
    ]
    path.write_text("\n".join([*lines, ""]))


def test_releases_go_through_the_environments_in_order_and_back(project: Project) -> None:
    assert project.versions == [None, None, None]
    start = project.git("rev-parse", "HEAD")

    project.promote(project.first, "dev")
    refused = project.ship("promote", project.first, "prod", status=1)
    assert "was never in test" in refused
    assert "Traceback" not in refused
    assert project.versions == [project.first, None, None]

    project.promote(project.first, "test", "prod")
    assert project.versions == [project.first, project.first, project.first]

    project.promote(NEXT, "dev", "test", "prod")
    assert project.versions == [NEXT, NEXT, NEXT]

    project.ship("rollback", "prod")
    assert project.versions == [NEXT, NEXT, project.first]
    assert "no release before" in project.ship("rollback", "prod", status=1)
    assert project.git("status", "--porcelain") == ""
    assert project.git("log", "--reverse", "--format=%an: %s", f"{start}..").splitlines() == [
        f"Ada: Promote {project.first} to dev",
        f"Ada: Promote {project.first} to test",
        f"Ada: Promote {project.first} to prod",
        f"Ada: Promote {NEXT} to dev",
        f"Ada: Promote {NEXT} to test",
        f"Ada: Promote {NEXT} to prod",
        f"Ada: Roll back prod to {project.first}",
    ]


def test_a_commit_is_promoted_to_dev_and_its_release_to_test(project: Project) -> None:
    revision = project.git("log", "-1", "--format=%H", f"--grep=^{NEXT}$")

    project.promote(f"sha-{revision}", "dev")
    assert "nothing was changed" in project.ship("promote", NEXT, "dev")
    project.promote(NEXT, "test")

    assert project.versions == [NEXT, NEXT, None]
    assert f"Revision: {revision}" in project.git("log", "-1", "--format=%B")


def test_compose_reads_the_digest_that_ship_wrote(project: Project) -> None:
    """With comments full of characters that a shell or Compose would interpret."""
    path = project.checkout.path / "deploy" / "environments" / "dev.env"
    path.write_text(f"# 'a' \"b $(touch pwned) `id` ${{DIGEST}} DIGEST=x\n{path.read_text()}# \"\n")
    project.git("commit", "--quiet", "--all", "--message", "Comment")
    project.promote(project.first, "dev")

    said = run(
        *("env", "-u", "DIGEST", f"REPOSITORY={project.repository}", "docker", "compose", "--env-file", str(path)),
        *("config", "--format", "json"),
        cwd=project.checkout.path,
    )

    image = json.loads(said)["services"]["service"]["image"]
    assert image == f"{project.repository}@{project.digests[project.first]}"


def test_an_unknown_version_is_refused(project: Project) -> None:
    said = project.ship("promote", "98.0.0", "dev", status=1)

    assert "98.0.0" in said
    assert "Traceback" not in said
    assert project.versions == [None, None, None]


def test_without_a_registry_a_rollback_says_how_to_do_it_by_hand(project: Project, port: int) -> None:
    for version in (project.first, NEXT):
        project.promote(version, "dev")
    down = replace(project, variables={**project.variables, "SHIP_REGISTRIES": f"localhost:{port}/x"})

    said = down.ship("rollback", "dev", status=1)

    assert "git checkout" in said
    assert project.versions == [NEXT, None, None]


def test_up_runs_the_recorded_digest_and_status_notices_another(startable: Project, port: int) -> None:
    project = startable
    assert "nothing was promoted" in project.ship("up", "test", status=1)
    project.promote(project.first, "dev", "test")
    assert project.runs("test")[0] == "not known"

    project.ship("up", "test")

    [container] = containers(project)
    assert container["Config"]["Image"] == f"{project.repository}@{project.digests[project.first]}"
    assert container["HostConfig"]["ReadonlyRootfs"]
    assert requests.get(f"http://localhost:{port}/version", timeout=10).json()["version"] == project.first
    assert project.runs("test") == ("same", "")
    project.ship("status", "--check")

    project.promote(NEXT, "dev", "test")
    state, detail = project.runs("test")
    assert state == "other"
    assert project.first in detail
    assert project.digests[project.first][:19] in detail
    assert "does not run in test" in project.ship("status", "--check", status=1)
    project.ship("status", "--check", "--json", status=1)

    project.ship("up", "test")
    assert project.runs("test") == ("same", "")

    run("docker", "stop", *(str(container["Id"]) for container in containers(project)))
    assert project.runs("test")[0] == "nothing runs"


def test_status_asks_the_url(startable: Project, port: int) -> None:
    project = startable
    project.promote(project.first, "dev", "test")
    project.ship("up", "test")
    set_url(project, "test", f"http://localhost:{port}/")

    assert project.runs("test") == ("same", "")
    project.promote(NEXT, "dev", "test")
    state, detail = project.runs("test")
    assert (state, project.first in detail) == ("other", True)
    project.ship("up", "test")
    assert project.runs("test") == ("same", "")
    project.ship("down", "test")
    assert project.runs("test")[0] == "no answer"


LOCKED = json.dumps({"version": "7.7.7", "revision": "0123456789" * 4}).encode()


class Strange(BaseHTTPRequestHandler):
    """A server that is not the service and answers by the first part of the path."""

    def do_GET(self) -> None:
        kind = self.path.split("/")[1]
        if kind == "slow":
            self.connection.recv(1)  # nothing comes before the other side has given up
        if kind in {"slow", "closed"}:
            return
        body = {"page": b"<html>", "list": b"[]", "other": b'{"version": "1"}'}.get(kind, b"{}")
        self.send_response(401 if kind == "locked" and "Bearer secret" not in self.headers.values() else 200)
        self.end_headers()
        self.wfile.write(LOCKED if kind == "locked" else body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def strange() -> Iterator[str]:
    """The address of that server."""
    with ThreadingHTTPServer(("localhost", 0), Strange) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("kind", ["page", "list", "other", "closed", "slow"])
def test_another_server_counts_as_no_answer(project: Project, strange: str, kind: str) -> None:
    set_url(project, "prod", f"{strange}/{kind}")

    started = time.monotonic()
    state, detail = project.runs("prod")

    assert state == "no answer"
    assert strange in detail
    assert time.monotonic() - started < 8


def test_a_service_with_keys_gets_that_of_its_environment(project: Project, strange: str) -> None:
    set_url(project, "prod", f"{strange}/locked")

    assert project.runs("prod") == ("no answer", f"{strange}/locked answers 401: set SHIP_API_KEY_PROD")
    project.variables["SHIP_API_KEY_PROD"] = "secret"
    assert project.runs("prod") == ("other", "7.7.7 from commit 012345678901")


def set_url(project: Project, environment: str, url: str) -> None:
    path = project.checkout.path / "deploy" / "environments" / f"{environment}.env"
    path.write_text(f"{path.read_text()}URL={url}\n")
    project.git("commit", "--quiet", "--message", "Say where it answers", str(path))


def containers(project: Project) -> list[dict[str, Any]]:
    """The container that `up test` started."""
    label = f"label=com.docker.compose.project={project.variables['COMPOSE_PROJECT_NAME']}-test"
    found = run("docker", "ps", "--all", "--quiet", "--filter", label).split()
    return list(json.loads(run("docker", "inspect", *found)))
