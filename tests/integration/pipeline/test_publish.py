"""`./ship publish`: one digest in every registry, versions that never move, and no partial release."""

import json
import shutil
import socket
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.checkout import Checkout
from tests.integration.cosign import Key, cosign
from tests.integration.program import run
from tests.integration.proxy import Answer, Asked, in_front_of
from tests.integration.registry import Registry, push, started_registry

JSON = {"Content-Type": "application/json"}


def publish(project: Checkout, repository: str, *hosts: str) -> "subprocess.CompletedProcess[str]":
    return project.ship("publish", SHIP_REGISTRIES=" ".join(f"{host}/{repository}" for host in hosts))


def all_tags(project: Checkout) -> list[str]:
    version = project.image["version"]
    major, minor, _ = version.split(".")
    return sorted([version, f"{major}.{minor}", major, "latest", f"sha-{project.revision}"])


def test_every_registry_has_the_built_digest_under_every_tag(
    project: Checkout, registry: Registry, second_registry: Registry, repository: str
) -> None:
    done = publish(project, repository, registry.host, second_registry.host)

    assert done.returncode == 0, done.stdout
    for place in (registry, second_registry):
        assert place.tags(repository) == all_tags(project)
        assert {place.digest(repository, tag) for tag in all_tags(project)} == {project.image["digest"]}


def test_publishing_again_succeeds_without_changes(project: Checkout, registry: Registry, repository: str) -> None:
    assert publish(project, repository, registry.host).returncode == 0
    again = publish(project, repository, registry.host)

    assert again.returncode == 0
    assert registry.tags(repository) == all_tags(project)


@pytest.mark.parametrize("taken", ["version", "commit"])
def test_a_taken_tag_is_refused_before_anything_is_pushed(
    project: Checkout, registry: Registry, second_registry: Registry, other: Path, repository: str, taken: str
) -> None:
    tag = project.image["version"] if taken == "version" else f"sha-{project.revision}"
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


def test_while_a_registry_is_down_nothing_is_published_and_a_second_run_completes(
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


def test_a_registry_that_refuses_the_image_is_named_and_no_version_is_written(
    project: Checkout, registry: Registry, repository: str
) -> None:
    with started_registry(read_only=True) as full:
        done = publish(project, repository, registry.host, full.host)

    assert done.returncode == 1
    assert "missing" in done.stdout
    assert project.image["version"] not in registry.tags(repository)
    assert registry.digest(repository, f"sha-{project.revision}") == project.image["digest"]


def test_an_older_release_does_not_move_the_aliases_back(
    project: Checkout, registry: Registry, other: Path, repository: str
) -> None:
    for tag in ("999.0.0", "999", "latest"):
        push(other, f"{registry.host}/{repository}:{tag}")
    newest = registry.digest(repository, "latest")
    done = publish(project, repository, registry.host)

    assert done.returncode == 0, done.stdout
    assert f"{registry.host}/{repository}:latest stays as it is: 999.0.0" in done.stdout
    assert registry.digest(repository, "latest") == newest
    assert registry.digest(repository, project.image["version"].split(".")[0]) == project.image["digest"]


LISTS: dict[str, Callable[[bytes], Answer]] = {
    "404": lambda _: Answer(404, b'{"errors": [{"code": "NAME_UNKNOWN", "message": "name unknown"}]}', JSON),
    "of a proxy": lambda _: Answer(404, b"<html>404 page not found</html>", {"Content-Type": "text/html"}),
    "empty": lambda _: Answer(200, b'{"name": "x", "tags": []}', JSON),
    "null": lambda _: Answer(200, b'{"name": "x", "tags": null}', JSON),
    "no JSON": lambda _: Answer(200, b"<html>", JSON),
    "stale": lambda answer: Answer(200, json.dumps({"name": "x", "tags": stale(answer)}).encode(), JSON),
}


def stale(answer: bytes) -> list[str]:
    """Return a tag list without this commit and without the newest release."""
    return [tag for tag in json.loads(answer)["tags"] if not tag.startswith(("sha-", "999"))]


@pytest.mark.parametrize("answer", LISTS.values(), ids=list(LISTS))
def test_a_missing_tag_list_moves_nothing(
    project: Checkout, registry: Registry, other: Path, answer: Callable[[bytes], Answer]
) -> None:
    repository = f"lists/{uuid.uuid4().hex}"
    for tag in ("999.0.0", "latest"):
        push(other, f"{registry.host}/{repository}:{tag}")
    newest = registry.digest(repository, "latest")

    def lie(asked: Asked) -> Answer:
        truth = asked.truth()
        return answer(truth.body) if "/tags/list" in asked.path else truth

    with in_front_of(registry, lie) as liar:
        done = publish(project, repository, liar.host)

    assert done.returncode == 1
    assert "tag list" in done.stdout or "does not list the tags of" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert registry.digest(repository, "latest") == newest
    assert registry.digest(repository, "1.0") is None


@pytest.mark.parametrize("look", [1, 2])
def test_a_version_that_appears_after_the_check_is_not_overwritten(
    project: Checkout, registry: Registry, other: Path, repository: str, look: int
) -> None:
    """Somebody else publishes another image under the same version at the same time."""
    repository, version, looks = f"race-{look}/{repository}"[:90].rstrip("-/"), project.image["version"], []

    def race(asked: Asked) -> Answer:
        truth = asked.truth()
        if asked.method == "GET" and asked.path.endswith(f"/manifests/{version}"):
            looks.append(asked.path)
            if len(looks) == look:
                push(other, f"{registry.host}/{repository}:{version}")
        return truth

    with in_front_of(registry, race) as slow:
        done = publish(project, repository, slow.host)

    theirs = registry.digest(repository, version)
    assert done.returncode == 1
    assert theirs != project.image["digest"]
    assert f"{version} is already {theirs}" in done.stdout
    assert registry.digest(repository, "latest") is None


def test_the_digest_of_a_tag_is_computed_from_the_bytes(project: Checkout, registry: Registry, repository: str) -> None:
    """The same JSON with a final newline is another manifest, without evidence."""
    where = f"{registry.host}/{repository}"
    assert project.ship("publish", "--commit-only", SHIP_REGISTRIES=where).returncode == 0
    original = registry.content(repository, f"sha-{project.revision}")
    changed = registry.put_manifest(repository, "1.0.0", original + b"\r\n")
    done = project.ship("verify", f"{where}:1.0.0")
    both = project.ship("verify", f"{where}:1.0.0@{project.image['digest']}")

    assert changed != project.image["digest"]
    assert (done.returncode, both.returncode) == (1, 1)
    assert changed[:19] in done.stdout
    assert project.image["digest"][:19] not in done.stdout
    assert f"the registry has {changed}" in both.stdout


def test_a_tag_and_a_digest_must_agree(project: Checkout, registry: Registry, repository: str) -> None:
    where, digest = f"{registry.host}/{repository}", project.image["digest"]
    assert publish(project, repository, registry.host).returncode == 0

    assert project.ship("verify", f"{where}:1.0.0@{digest}").returncode == 0
    nowhere = project.ship("verify", f"{where}:9.9.9@{digest}")
    assert nowhere.returncode == 1
    assert f"not found: {where}:9.9.9@{digest}" in nowhere.stdout

    registry.put_manifest(repository, "2.0.0", registry.content(repository, "1.0.0"))
    renamed = project.ship("verify", f"{where}:2.0.0@{digest}")
    assert renamed.returncode == 1
    assert "labels say version 1.0.0" in renamed.stdout


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
def test_an_untested_image_cannot_be_published(project: Checkout, registry: Registry, tested: str | None) -> None:
    shutil.rmtree(project.path / "build" / "tested")
    if tested:
        project.count_as_tested(tested)
    done = publish(project, "untested/house-price", registry.host)

    assert done.returncode == 1
    assert "has not passed the integration tests" in done.stdout
    assert registry.tags("untested/house-price") == []


def test_an_unscanned_image_cannot_be_published(project: Checkout, registry: Registry) -> None:
    (project.path / "build" / "scan.json").unlink()
    done = publish(project, "unscanned/house-price", registry.host)

    assert done.returncode == 1
    assert "has not been scanned" in done.stdout
    assert registry.tags("unscanned/house-price") == []


def test_a_published_commit_is_released_later_without_a_build(
    project: Checkout, registry: Registry, second_registry: Registry, repository: str, own_key: Path, tmp_path: Path
) -> None:
    places = (registry, second_registry)
    where = {"SHIP_REGISTRIES": " ".join(f"{place.host}/{repository}" for place in places)}

    done = project.ship("publish", "--commit-only", **where)
    assert done.returncode == 0, done.stdout
    for place in places:
        assert place.tags(repository) == [f"sha-{project.revision}"]

    digest, tags = project.image["digest"], all_tags(project)
    manifest = shutil.copy(project.layout / "blobs" / "sha256" / digest.removeprefix("sha256:"), tmp_path / "manifest")
    shutil.rmtree(project.path / "build")
    done = project.ship("release", "v1.0.0", **where)

    assert done.returncode == 0, done.stdout
    for place in places:
        assert place.tags(repository) == tags
        assert {place.digest(repository, tag) for tag in tags} == {digest}
    notes = (project.path / "build" / "release" / "notes.md").read_text()
    assert f"{registry.host}/{repository}:1.0.0@{digest}" in notes
    assert json.loads((project.path / "build" / "release" / "sbom.cdx.json").read_bytes())["bomFormat"] == "CycloneDX"
    trust = ("--key", str(Key(own_key).public), "--insecure-ignore-tlog=true", "--type", "slsaprovenance1")
    bundle = project.path / "build" / "release" / "provenance.intoto.jsonl"
    assert bundle.read_bytes().count(b"\n") == 1
    cosign("verify-blob-attestation", *trust, "--bundle", str(bundle), str(manifest))


def test_an_unexpected_digest_is_not_published(project: Checkout, registry: Registry, repository: str) -> None:
    other = "sha256:" + "0" * 64
    done = project.ship("publish", "--commit-only", "--digest", other, SHIP_REGISTRIES=f"{registry.host}/{repository}")

    assert done.returncode == 1
    assert f"{other} was built, and build/image is {project.image['digest']}" in done.stdout
    assert registry.tags(repository) == []


def test_another_version_than_that_of_the_project_cannot_be_released(
    project: Checkout, registry: Registry, repository: str
) -> None:
    where = f"{registry.host}/{repository}"
    assert project.ship("publish", "--commit-only", SHIP_REGISTRIES=where).returncode == 0
    done = project.ship("release", "v1.0.1", SHIP_REGISTRIES=where)

    assert done.returncode == 1
    assert "this commit is version 1.0.0" in done.stdout
    assert registry.tags(repository) == [f"sha-{project.revision}"]


def test_an_image_without_evidence_cannot_be_released(project: Checkout, registry: Registry, repository: str) -> None:
    push(project.layout, f"{registry.host}/{repository}:sha-{project.revision}")
    done = project.ship("release", SHIP_REGISTRIES=f"{registry.host}/{repository}")

    assert done.returncode == 1
    assert "cannot be trusted" in done.stdout
    assert registry.tags(repository) == [f"sha-{project.revision}"]


def test_a_changed_layout_cannot_be_published(project: Checkout, registry: Registry, repository: str) -> None:
    """Whether or not the registry has that blob already, or would refuse it itself."""
    largest = max((project.layout / "blobs" / "sha256").iterdir(), key=lambda blob: blob.stat().st_size)
    largest.chmod(0o644)
    with largest.open("r+b") as blob:
        blob.write(b"\0")
    done = publish(project, repository, registry.host)

    assert done.returncode == 1
    assert f"the blob {largest.name} in" in done.stdout
    assert "has changed since the build" in done.stdout
    assert registry.tags(repository) == []


def test_without_a_build_the_error_says_so(checkout: Checkout, registry: Registry, tmp_path: Path) -> None:
    run("git", "clone", "--quiet", str(checkout.path), str(tmp_path / "bare"))
    done = publish(Checkout(tmp_path / "bare"), "bare/house-price", registry.host)

    assert done.returncode == 1
    assert "./ship build" in done.stdout


def local_registries() -> list[Registry]:
    """The local registries of `./ship` that answer."""
    found = []
    for port in (5001, 5002):
        with socket.socket() as probe:
            if probe.connect_ex(("localhost", port)) == 0:
                found.append(Registry(f"localhost:{port}"))
    return found


def test_the_local_registries_have_only_the_tested_digest() -> None:
    """Another image pushed under a version, in one registry or in both, is noticed."""
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
