"""Kinds of registries: each gets the digest with its evidence, or its fault is reported.

They differ in what the OCI distribution-spec v1.1 leaves open, or asks for in vain: whether there is an API for
referrers (GHCR answers 404), whether one may read without a login, how many tags are listed at once, and how often a
server fails.
"""

import itertools
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.integration.checkout import Checkout
from tests.integration.proxy import Answer, Asked, in_front_of
from tests.integration.registry import (
    LOGIN,
    Registry,
    built_registry_with_referrers,
    push,
    relabelled,
    started_program,
    started_registry,
)

PAGED, FAILING = "with-pages-of-tags", "failing-now-and-then"
NAMES = ["without-referrers", "with-referrers", "with-a-login", PAGED, FAILING]
PAGE, SELDOM = 2, 30
NEWER = "999.0.0"


def by_pages(asked: Asked) -> Answer:
    """List PAGE tags at once with a link to the next page: "Listing Tags" in the specification."""
    truth = asked.truth()
    path, _, last = asked.path.partition("?last=")
    if not path.endswith("/tags/list") or truth.status != 200:
        return truth
    listed = json.loads(truth.body)
    left = sorted(tag for tag in listed["tags"] if tag > last)
    page = left[:PAGE]
    more = {"Link": f'<{path}?last={page[-1]}>; rel="next"'} if len(left) > PAGE else {}
    body = json.dumps({**listed, "tags": page}).encode()
    return Answer(200, body, {"Content-Type": "application/json", **more})


class NowAndThen:
    """Answers one of SELDOM requests with 500."""

    def __init__(self) -> None:
        self.asked = itertools.count(1)
        self.failed = 0

    def __call__(self, asked: Asked) -> Answer:
        if next(self.asked) % SELDOM:
            return asked.truth()
        self.failed += 1
        return Answer(500, b"Internal Server Error", {"Content-Type": "text/plain"})


@dataclass(frozen=True)
class Kinds:
    """One registry of each kind, by its name."""

    started: dict[str, Registry]
    behind: dict[str, Registry]
    """What is behind those that are proxies."""
    failing: NowAndThen
    lacking: str
    """Why Go builds nothing here, if so."""

    def __getitem__(self, name: str) -> Registry:
        if name not in self.started:
            pytest.skip(f"the registry {name} is built with Go, which cannot be done here: {self.lacking}")
        return self.started[name]

    def where(self, name: str) -> str:
        return f"{self[name].host}/{repository(name)}"


def repository(name: str) -> str:
    """A separate repository for each kind, since some share a registry."""
    return f"{name}/house-price"


@pytest.fixture(scope="module")
def kinds(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kinds]:
    failing, lacking = NowAndThen(), ""
    with ExitStack() as stack:
        started = {
            "without-referrers": registry,
            "with-a-login": stack.enter_context(started_registry(users=tmp_path_factory.mktemp("users"))),
            PAGED: stack.enter_context(in_front_of(registry, by_pages)),
            FAILING: stack.enter_context(in_front_of(registry, failing)),
        }
        try:
            program = built_registry_with_referrers(tmp_path_factory.mktemp("program"))
        except FileNotFoundError:
            lacking = "it is not installed"
        except subprocess.CalledProcessError as failed:
            lacking = failed.stderr
        else:
            started["with-referrers"] = stack.enter_context(started_program(program))
        yield Kinds(started, dict.fromkeys((PAGED, FAILING), registry), failing, lacking)


@pytest.fixture(scope="module")
def logged_in(kinds: Kinds, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder where `docker login` stores its credentials."""
    config, (user, password) = tmp_path_factory.mktemp("docker"), LOGIN
    command = ("docker", "--config", str(config), "login", "--username", user, "--password-stdin")
    subprocess.run([*command, kinds["with-a-login"].host], input=password.encode(), check=True, capture_output=True)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DOCKER_CONFIG", str(config))
        yield config


@dataclass(frozen=True)
class Published:
    """A checkout whose image was published, released and verified in all of them at once, and the output."""

    project: Checkout
    said: dict[str, str]

    @property
    def digest(self) -> str:
        return str(self.project.image["digest"])


@pytest.fixture(scope="module")
def published(
    built_checkout: Checkout, kinds: Kinds, logged_in: Path, tmp_path_factory: pytest.TempPathFactory
) -> Published:
    assert logged_in.is_dir()
    folder = tmp_path_factory.mktemp("published")
    project = Checkout(folder / "project")
    shutil.copytree(built_checkout.path, project.path)
    project.count_as_tested()
    newer = relabelled(project.layout, folder / "newer", {"org.opencontainers.image.version": NEWER})
    for tag in ("0.1.0", "0.2.0", NEWER, "latest"):
        push(newer, f"{kinds.behind[PAGED].host}/{repository(PAGED)}:{tag}")
    everywhere, said = " ".join(kinds.where(name) for name in kinds.started), {}
    for command in (["publish", "--commit-only"], ["release", "v1.0.0"], ["verify", "1.0.0"]):
        done = project.ship(*command, SHIP_REGISTRIES=everywhere)
        assert done.returncode == 0, done.stdout + done.stderr
        said[command[0]] = done.stdout
    return Published(project, said)


@pytest.mark.parametrize("name", NAMES)
def test_every_registry_has_the_digest_under_its_tags(published: Published, kinds: Kinds, name: str) -> None:
    there = kinds.behind.get(name, kinds[name])
    tags = ["1.0.0", "1.0", "1", f"sha-{published.project.revision}", *([] if name == PAGED else ["latest"])]

    assert {there.digest(repository(name), tag) for tag in tags} == {published.digest}


@pytest.mark.parametrize("name", NAMES)
def test_the_image_can_be_pulled_for_a_rebuild(published: Published, kinds: Kinds, name: str) -> None:
    """The rebuild itself does not depend on the registry and is slow: test_reproduce.py."""
    done = published.project.ship("reproduce", "1.0.0", "--commit", "nowhere", SHIP_REGISTRIES=kinds.where(name))

    assert done.returncode == 1
    assert f"pulling {kinds.where(name)}@{published.digest}" in done.stdout
    assert "the commit 'nowhere' is not in" in done.stdout


@pytest.mark.parametrize(("name", "status"), [("without-referrers", 404), ("with-referrers", 200)])
def test_referrers_are_listed_by_the_api_or_else_under_a_tag(
    published: Published, kinds: Kinds, name: str, status: int
) -> None:
    place, digest = kinds[name], published.digest
    reply = requests.get(f"http://{place.host}/v2/{repository(name)}/referrers/{digest}", timeout=10)
    listed = reply.json()["manifests"] if reply.ok else place.referrers(repository(name), digest)

    assert reply.status_code == status
    assert len(listed) == 4
    assert (place.digest(repository(name), digest.replace(":", "-")) is None) is reply.ok


def test_a_newer_release_on_another_page_of_tags_keeps_latest(published: Published, kinds: Kinds) -> None:
    there = kinds.behind[PAGED]

    assert f"{kinds.where(PAGED)}:latest stays as it is: {NEWER}" in published.said["release"]
    assert there.digest(repository(PAGED), "latest") == there.digest(repository(PAGED), NEWER)
    assert len(there.tags(repository(PAGED))) > 2 * PAGE


@pytest.mark.usefixtures("published")
def test_the_failing_registry_did_fail(kinds: Kinds) -> None:
    assert kinds.failing.failed >= 3


@pytest.mark.parametrize("command", [["publish"], ["verify", "1.0.0"], ["release"], ["reproduce", "1.0.0"]])
def test_without_a_login_the_error_says_how_to_log_in(
    published: Published, kinds: Kinds, tmp_path: Path, command: list[str]
) -> None:
    place = kinds["with-a-login"]
    done = published.project.ship(*command, SHIP_REGISTRIES=f"{place.host}/nobody/x", DOCKER_CONFIG=str(tmp_path))

    assert done.returncode == 1
    assert f"{place.host} does not send {place.host}/nobody/x:" in done.stdout
    assert f"next: docker login {place.host}" in done.stdout
    assert place.tags("nobody/x") == []


@pytest.mark.parametrize("command", [["publish"], ["verify", "1.0.0"], ["release"], ["reproduce", "1.0.0"]])
def test_a_permanently_failing_registry_is_named(published: Published, registry: Registry, command: list[str]) -> None:
    with in_front_of(registry, lambda _: Answer(500, b"Internal Server Error")) as broken:
        done = published.project.ship(*command, SHIP_REGISTRIES=f"{broken.host}/broken/x")

    assert done.returncode == 1
    assert f"{broken.host} does not send {broken.host}/broken/x:" in done.stdout
    assert f"next: try again later: the problem is at {broken.host}" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
