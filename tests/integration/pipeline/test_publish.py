"""`./ship publish`: one digest in every registry, versions that never move, and nothing half-published."""

import json
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.checkout import Checkout, count_as_tested
from tests.integration.program import run
from tests.integration.registry import Registry, push, started_registry


@pytest.fixture
def other(built_checkout: Checkout, tmp_path: Path) -> Path:
    """The layout of another image: the same layers under a changed label."""
    layout = tmp_path / "other"
    shutil.copytree(built_checkout.layout, layout)
    run("skopeo", "--insecure-policy", "copy", "--quiet", "--format=v2s2", f"oci:{layout}", f"dir:{tmp_path / 'dir'}")
    shutil.rmtree(layout)
    run("skopeo", "--insecure-policy", "copy", "--quiet", f"dir:{tmp_path / 'dir'}", f"oci:{layout}:other")
    return layout


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> str:
    """A repository of the test's own."""
    return f"{request.node.name.replace('_', '-')[:60].strip('-')}/house-price"


def publish(project: Checkout, repository: str, *hosts: str) -> "subprocess.CompletedProcess[str]":
    return project.ship("publish", REGISTRIES=" ".join(f"{host}/{repository}" for host in hosts))


def revision(project: Checkout) -> str:
    return run("git", "rev-parse", "HEAD", cwd=project.path)


def all_tags(project: Checkout) -> list[str]:
    version = project.image["version"]
    major, minor, _ = version.split(".")
    return sorted([version, f"{major}.{minor}", major, "latest", f"sha-{revision(project)}"])


def test_every_registry_has_the_built_digest_under_every_tag(
    project: Checkout, registry: Registry, second_registry: Registry, repository: str
) -> None:
    done = publish(project, repository, registry.host, second_registry.host)

    assert done.returncode == 0, done.stdout
    for place in (registry, second_registry):
        assert place.tags(repository) == all_tags(project)
        assert {place.digest(repository, tag) for tag in all_tags(project)} == {project.image["digest"]}


def test_publishing_again_changes_nothing_and_succeeds(project: Checkout, registry: Registry, repository: str) -> None:
    assert publish(project, repository, registry.host).returncode == 0
    again = publish(project, repository, registry.host)

    assert again.returncode == 0
    assert registry.tags(repository) == all_tags(project)


@pytest.mark.parametrize("taken", ["version", "commit"])
def test_a_taken_tag_is_refused_before_anything_is_pushed(
    project: Checkout, registry: Registry, second_registry: Registry, other: Path, repository: str, taken: str
) -> None:
    tag = project.image["version"] if taken == "version" else f"sha-{revision(project)}"
    repository = f"{taken}/{repository.rsplit('/', maxsplit=1)[-1]}"
    push(other, f"{second_registry.host}/{repository}:{tag}")
    before = second_registry.digest(repository, tag)

    done = publish(project, repository, registry.host, second_registry.host)

    assert done.returncode == 1
    assert f"{second_registry.host}/{repository}:{tag}" in done.stdout
    assert before is not None
    assert before in done.stdout
    assert before != project.image["digest"]
    assert registry.tags(repository) == []
    assert second_registry.digest(repository, tag) == before


def test_a_registry_that_is_down_publishes_nothing_and_running_again_ends_right(
    project: Checkout, registry: Registry, repository: str
) -> None:
    with socket.create_server(("localhost", 0)) as held:
        port = held.getsockname()[1]

    down = publish(project, repository, registry.host, f"localhost:{port}")
    assert down.returncode == 1
    assert f"localhost:{port}" in down.stdout
    assert registry.tags(repository) == []

    with started_registry(port) as late:
        assert publish(project, repository, registry.host, late.host).returncode == 0
        for place in (registry, late):
            assert place.digest(repository, project.image["version"]) == project.image["digest"]


def test_a_registry_that_refuses_the_bytes_is_named_and_has_no_version_anywhere(
    project: Checkout, registry: Registry, repository: str
) -> None:
    with started_registry(read_only=True) as full:
        done = publish(project, repository, registry.host, full.host)

    assert done.returncode == 1
    assert "not there" in done.stdout
    assert project.image["version"] not in registry.tags(repository)
    assert registry.digest(repository, f"sha-{revision(project)}") == project.image["digest"]


def test_an_older_release_does_not_take_the_moving_tags_back(
    project: Checkout, registry: Registry, other: Path, repository: str
) -> None:
    for tag in ("999.0.0", "999", "latest"):
        push(other, f"{registry.host}/{repository}:{tag}")
    newest = registry.digest(repository, "latest")

    assert publish(project, repository, registry.host).returncode == 0
    assert registry.digest(repository, "latest") == newest
    assert registry.digest(repository, project.image["version"].split(".")[0]) == project.image["digest"]


def test_uncommitted_changes_cannot_be_published(project: Checkout, registry: Registry, repository: str) -> None:
    (project.path / "app" / "later.py").write_text("")
    done = publish(project, repository, registry.host)

    assert done.returncode == 1
    assert "uncommitted" in done.stdout
    assert registry.tags(repository) == []


def test_the_image_of_another_commit_cannot_be_published(
    project: Checkout, registry: Registry, repository: str
) -> None:
    author = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    run("git", *author, "commit", "--quiet", "--allow-empty", "--message", "later", cwd=project.path)
    done = publish(project, repository, registry.host)

    assert done.returncode == 1
    assert "was built from" in done.stdout
    assert registry.tags(repository) == []


@pytest.mark.parametrize("tested", [None, "sha256:" + "0" * 64], ids=["nothing", "another image"])
def test_what_did_not_pass_the_tests_cannot_be_published(
    project: Checkout, registry: Registry, tested: str | None
) -> None:
    shutil.rmtree(project.path / "build" / "tested")
    if tested:
        count_as_tested(project, tested)
    done = publish(project, "untested/house-price", registry.host)

    assert done.returncode == 1
    assert "has not passed the integration tests" in done.stdout
    assert registry.tags("untested/house-price") == []


def test_a_version_that_is_out_stays_while_the_branch_moves_on(
    project: Checkout, registry: Registry, other: Path, repository: str
) -> None:
    push(other, f"{registry.host}/{repository}:{project.image['version']}")
    released = registry.digest(repository, project.image["version"])

    done = project.ship("publish", "--unless-released", REGISTRIES=f"{registry.host}/{repository}")

    assert done.returncode == 0, done.stdout
    assert registry.tags(repository) == sorted([project.image["version"], f"sha-{revision(project)}"])
    assert registry.digest(repository, project.image["version"]) == released
    assert registry.digest(repository, f"sha-{revision(project)}") == project.image["digest"]


def test_a_layout_that_was_changed_after_the_build_cannot_be_published(
    project: Checkout, registry: Registry, repository: str
) -> None:
    largest = max((project.layout / "blobs" / "sha256").iterdir(), key=lambda blob: blob.stat().st_size)
    largest.chmod(0o644)
    with largest.open("r+b") as blob:
        blob.write(b"\0")
    done = publish(project, repository, registry.host)

    assert done.returncode == 1
    assert largest.name in done.stdout
    assert registry.tags(repository) == []


def test_nothing_built_is_said_so(checkout: Checkout, registry: Registry, tmp_path: Path) -> None:
    run("git", "clone", "--quiet", str(checkout.path), str(tmp_path / "bare"))
    done = publish(Checkout(tmp_path / "bare"), "bare/house-price", registry.host)

    assert done.returncode == 1
    assert "./ship build" in done.stdout


def local_registries() -> list[Registry]:
    """The registries of `./ship` on this machine that answer."""
    found = []
    for port in (5001, 5002):
        with socket.socket() as probe:
            if probe.connect_ex(("localhost", port)) == 0:
                found.append(Registry(f"localhost:{port}"))
    return found


def test_what_was_published_on_this_machine_is_still_the_tested_digest() -> None:
    """Somebody who pushes another image under a version, in one registry or in both, is found out."""
    registries = local_registries()
    if not registries:
        pytest.skip("nothing was published on this machine: its registries do not run")
    versions = {tag for place in registries for tag in place.tags("house-price") if tag.count(".") == 2}
    found: dict[str, dict[str, Any]] = {}
    for version in sorted(versions):
        for place in registries:
            commit = place.labels("house-price", version).get("org.opencontainers.image.revision", "unknown")
            for tag in (version, f"sha-{commit}"):
                found.setdefault(version, {})[f"{place.host}:{tag}"] = place.digest("house-price", tag)

    moved = {version: digests for version, digests in found.items() if len(set(digests.values())) != 1}
    assert not moved, f"a published version is another image now: {json.dumps(moved, indent=2)}"
