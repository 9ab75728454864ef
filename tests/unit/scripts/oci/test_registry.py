"""Registries through the real skopeo: which answers count, and the messages for anything else."""

import hashlib
import json
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from scripts.errors import Failure
from scripts.grammar import Digest, Reference, Repository, Tag
from scripts.oci import registry
from tests.unit.scripts.loopback import INDEX, MANIFEST, Registry, Reply, error, serving

pytestmark = pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not installed: ./ship setup")

LABELS = {"org.opencontainers.image.version": "1.0.0"}
CONFIG = {"os": "linux", "architecture": "amd64", "config": {"Labels": LABELS}, "rootfs": {"type": "layers"}}
PAUSES = registry.PAUSES
ONE = Digest(f"sha256:{1:064}")


@pytest.fixture
def served() -> Iterator[Registry]:
    """A registry that answers."""
    with serving(Registry()) as registry:
        yield registry


def repository(served: Registry) -> Repository:
    return Repository(f"{served.host}/me/x")


def tagged(served: Registry, name: str = "1.0.0") -> Reference:
    return repository(served).at(Tag(name))


@pytest.fixture(autouse=True)
def logged_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user who is logged in nowhere; returns the file that `docker login` would write."""
    monkeypatch.setattr(registry, "PAUSES", (0.0, 0.0))
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / "config.json"


@pytest.mark.parametrize(
    "manifest", [b'{\r\n "schemaVersion": 2\r\n}\r\n', b'{\n "a": "\xff\xfe"}\n\n', b" ", b"hello"]
)
def test_a_digest_is_computed_from_the_bytes(served: Registry, manifest: bytes) -> None:
    served.put("1.0.0", manifest)

    assert registry.digest(tagged(served)) == f"sha256:{hashlib.sha256(manifest).hexdigest()}"


def test_a_reference_with_tag_and_digest_is_resolved_by_its_tag(served: Registry) -> None:
    digest = served.put_image("1.0.0", CONFIG)

    assert registry.digest(Reference(f"{tagged(served)}@{ONE}")) == digest


@pytest.mark.parametrize(
    "reply",
    [
        error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
        error(404, "NAME_UNKNOWN", "repository name not known to registry"),
        error(404, "NOT_FOUND", "artifact me/x:1.0.0 not found"),  # Harbor
    ],
)
def test_an_unknown_manifest_is_absent(served: Registry, reply: Reply) -> None:
    served.says["GET .*/manifests/.*"] = reply

    assert registry.digest(tagged(served)) is None


def test_a_denied_repository_may_be_one_that_the_first_push_creates(served: Registry) -> None:
    served.says["GET .*/manifests/.*"] = error(403, "DENIED", "requested access to the resource is denied")

    assert registry.digest(tagged(served), may_be_new=True) is None
    with pytest.raises(registry.Denied, match="does not send") as denied:
        registry.digest(tagged(served))
    assert denied.value.remedy.startswith(f"docker login {served.host}")


REPLIES = {
    "500": (Reply(500, b"not found"), "500 Internal Server Error", "try again later"),
    "502 of a proxy": (Reply(502, b"<html>manifest unknown</html>"), "502 Bad Gateway", "try again later"),
    "404 of a proxy": (Reply(404, b"<html>page not found</html>"), "page not found", ""),
    "404 of a liar": (Reply(404, b"<html>manifest unknown, name unknown, denied</html>"), "manifest unknown", ""),
    "404 and nothing": (Reply(404), "404", ""),
    "401": (error(401, "UNAUTHORIZED", "authentication required"), "unauthorized", "docker login localhost:"),
    "401 after a token": (
        Reply(401, headers={"WWW-Authenticate": 'Basic realm="x"'}),
        "unauthorized|authentication required",  # as older and newer skopeo word it
        "docker login localhost:",
    ),
}


@pytest.mark.parametrize(("reply", "words", "remedy"), REPLIES.values(), ids=list(REPLIES))
def test_no_other_answer_counts_as_absent(served: Registry, reply: Reply, words: str, remedy: str) -> None:
    served.says["GET .*/manifests/.*"] = reply

    with pytest.raises(Failure, match=words) as refused:
        registry.digest(tagged(served), may_be_new=True)
    assert refused.value.reason.startswith(f"{served.host} does not send {tagged(served)}: ")
    assert refused.value.remedy.startswith(remedy)
    assert bool(refused.value.remedy) == bool(remedy)


@dataclass
class Failing(Registry):
    """A registry that fails the first requests for anything but its version."""

    digest: str = ""
    faults: int = 0
    asked: list[str] = field(default_factory=list)

    def answer(self, method: str, path: str, kind: str, body: bytes) -> Reply:
        if path != "/v2/":
            self.asked.append(f"{method} {path}")
            self.faults -= 1
            if self.faults >= 0:
                return Reply(503, b"down for a moment")
        return super().answer(method, path, kind, body)


@pytest.mark.parametrize(
    "ask",
    [
        lambda served: registry.digest(tagged(served)),
        lambda served: registry.tags(repository(served)),
        lambda served: registry.tag(repository(served), Digest(served.digest), Tag("1.0.0")),
    ],
    ids=["question", "list", "copy"],
)
def test_a_server_error_is_retried_twice(ask: Callable[[Any], object]) -> None:
    served = Failing()
    with serving(served):
        served.digest = served.put_image("1.0.0", CONFIG)
        for faults, ends in ((2, False), (10**6, True)):
            served.faults = faults
            with pytest.raises(Failure, match="503") if ends else nullcontext():
                ask(served)


def test_a_refusal_is_not_retried() -> None:
    served = Failing()
    with serving(served):
        assert registry.digest(tagged(served)) is None
        assert served.asked == ["GET /v2/me/x/manifests/1.0.0"]


def test_retries_wait_a_moment() -> None:
    assert PAUSES == (1, 4)


@pytest.mark.parametrize("words", ["executable file not found in $PATH", "open config.json: permission denied"])
def test_a_failing_credential_helper_does_not_mean_absent(
    served: Registry, logged_out: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    logged_out.write_text(json.dumps({"credHelpers": {served.host: "ours"}}))
    helper = logged_out.parent / "bin" / "docker-credential-ours"
    helper.parent.mkdir()
    helper.write_text(f"#!/bin/sh\necho '{words}'\nexit 1\n")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(helper.parent), prepend=":")

    with pytest.raises(Failure, match=re.escape(words)) as refused:
        registry.digest(tagged(served), may_be_new=True)
    assert refused.value.remedy == ""


def test_a_local_registry_that_is_down_says_how_to_start_it() -> None:
    with socket.create_server(("localhost", 0)) as held:
        port = held.getsockname()[1]

    with pytest.raises(Failure, match="connection refused") as refused:
        registry.digest(Repository(f"localhost:{port}/x").at(Tag("1.0.0")))
    assert refused.value.remedy == (
        f"start localhost:{port}, or correct its name; "
        "for those of ./ship: docker start shipshape-docker-hub shipshape-ghcr"
    )


def test_a_redirect_to_a_dead_host_does_not_say_how_to_start_the_registry(served: Registry) -> None:
    served.says["GET .*/manifests/.*"] = Reply(302, headers={"Location": "http://127.0.0.1:1/"})

    with pytest.raises(Failure, match="connection refused") as refused:
        registry.digest(tagged(served))
    assert refused.value.remedy == ""


def test_every_tag_is_listed(served: Registry) -> None:
    names = ["1.0.0", "latest", "_x", "x" * 128]
    served.says["GET .*/tags/list"] = Reply(200, json.dumps({"name": "x", "tags": names}).encode())

    assert registry.tags(repository(served)) == names


@pytest.mark.parametrize("name", ["-x", "a b", "\uff11.0.0", "\x1b[31m", "x" * 129, "sha256:1"])
def test_a_list_with_what_cannot_be_a_tag_is_refused(served: Registry, name: str) -> None:
    served.says["GET .*/tags/list"] = Reply(200, json.dumps({"name": "x", "tags": ["1.0.0", name]}).encode())

    with pytest.raises(Failure, match="list"):
        registry.tags(repository(served))


@pytest.mark.parametrize(
    ("reply", "remedy"),
    [
        (error(404, "NAME_UNKNOWN", "repository name not known to registry"), ""),
        (Reply(404), ""),
        (error(403, "DENIED"), "docker login "),
        (Reply(500), "try again later"),
        (Reply(200), ""),
        (Reply(200, b"<html>"), ""),
        (Reply(200, b'{"tags": [1, 2]}'), ""),
        (Reply(200, b'{"tags": "1.0.0"}'), ""),
    ],
)
def test_a_missing_tag_list_is_not_an_empty_one(served: Registry, reply: Reply, remedy: str) -> None:
    served.says["GET .*/tags/list"] = reply

    with pytest.raises(Failure, match="does not list the tags of") as refused:
        registry.tags(repository(served))
    assert refused.value.remedy.startswith(remedy)
    assert bool(refused.value.remedy) == bool(remedy)


def test_an_image_has_labels_and_a_platform(served: Registry) -> None:
    served.put_image("1.0.0", CONFIG)

    assert registry.labels(tagged(served)) == LABELS
    assert registry.platforms(tagged(served)) == ["linux/amd64"]


@pytest.mark.parametrize("config", [{}, {"Labels": None}])
def test_an_image_may_have_no_labels(served: Registry, config: dict[str, Any]) -> None:
    served.put_image("1.0.0", {**CONFIG, "config": config})

    assert registry.labels(tagged(served)) == {}


def test_a_digest_identifies_the_image_wherever_the_tag_points_now(served: Registry) -> None:
    digest = served.put_image("0.9.0", {**CONFIG, "config": {"Labels": {"which": "this"}}})
    served.put_image("1.0.0", CONFIG)

    assert registry.labels(Reference(f"{tagged(served)}@{digest}")) == {"which": "this"}


def entry(digest: str, **more: object) -> dict[str, Any]:
    return {"mediaType": MANIFEST, "digest": digest, "size": 1, **more}


def put_index(served: Registry, *entries: dict[str, Any]) -> None:
    served.put("1.0.0", {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}, INDEX)


def test_an_index_lists_every_platform(served: Registry) -> None:
    places = [{"os": "linux", "architecture": name} for name in ("amd64", "arm64")]
    put_index(served, *(entry(ONE, platform=place) for place in places))

    assert registry.platforms(tagged(served)) == ["linux/amd64", "linux/arm64"]


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([entry(ONE)], "an image that names no platform"),
        (
            [entry(ONE, platform={"os": "linux", "architecture": "amd64"}), entry(ONE, platform=None)],
            "that names no platform",
        ),
        ([entry(ONE, platform={"os": "linux"})], "missing required field `architecture`"),
        ([entry(ONE, platform={"os": "linux", "architecture": "amd64\n✓"})], "is not a platform"),
        ([entry(ONE, platform={"os": "linux", "architecture": 64})], "Expected `str`, got `int`"),
        ([], "is an empty index"),
    ],
)
def test_an_index_without_platforms_is_refused(served: Registry, entries: list[dict[str, Any]], reason: str) -> None:
    put_index(served, *entries)

    with pytest.raises(Failure, match=reason):
        registry.platforms(tagged(served))


@pytest.mark.parametrize("manifest", [b"hello", b"\xff\xfe", b"", b"null", b"[1]", b'{"manifests": 1}', b"[" * 100_000])
def test_a_malformed_manifest_is_one_sentence(served: Registry, manifest: bytes) -> None:
    served.put("1.0.0", manifest)

    for ask in (registry.platforms, registry.labels):
        with pytest.raises(Failure, match=served.host):
            ask(tagged(served))


@pytest.mark.parametrize("config", [b"hello", b"\xff", b"[]", b'{"os": 1}', b'{"config": {"Labels": {"a": 1}}}'])
def test_a_malformed_configuration_is_one_sentence(served: Registry, config: bytes) -> None:
    served.put_image("1.0.0", config)

    for ask in (registry.platforms, registry.labels):
        with pytest.raises(Failure, match=served.host):
            ask(tagged(served))


def test_a_manifest_that_does_not_match_its_digest_is_refused(served: Registry) -> None:
    digest = Digest(served.put_image("1.0.0", CONFIG))
    served.content[digest] = (MANIFEST, served.content[digest][1] + b" ")

    for ask in (registry.digest, registry.labels, registry.platforms):
        with pytest.raises(Failure, match=r"sends other content for|does not match"):
            ask(repository(served).at(digest))


def test_a_configuration_that_does_not_match_its_digest_is_refused(served: Registry) -> None:
    served.put_image("1.0.0", CONFIG)
    blob = json.loads(served.content["1.0.0"][1])["config"]["digest"]
    served.content[blob] = ("", json.dumps({**CONFIG, "config": {"Labels": {"a": "b"}}}).encode())

    with pytest.raises(Failure, match="does not match"):
        registry.labels(tagged(served))


def written_layout(folder: Path) -> tuple[Path, Digest]:
    """Write an OCI layout of one image without layers; return it and its digest."""
    made = Registry()
    digest = Digest(made.put_image("1.0.0", CONFIG))
    (folder / "blobs" / "sha256").mkdir(parents=True)
    for name, (_, data) in made.content.items():
        if name.startswith("sha256:"):
            (folder / "blobs" / "sha256" / name.removeprefix("sha256:")).write_bytes(data)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    size = len(made.content[digest][1])
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry(digest) | {"size": size}]}))
    return folder, digest


@pytest.mark.parametrize("folder", ["image", "with space", "with:colon"])
def test_an_image_survives_push_and_pull_byte_for_byte(served: Registry, tmp_path: Path, folder: str) -> None:
    layout, digest = written_layout(tmp_path / folder / "image")

    registry.push(layout, repository(served).at(digest))
    assert registry.digest(tagged(served)) is None
    registry.tag(repository(served), digest, Tag("1.0.0"))
    assert registry.digest(tagged(served)) == digest
    registry.pull(repository(served).at(digest), tmp_path / folder / "back")
    assert (tmp_path / folder / "back" / "blobs" / "sha256" / digest.encoded).read_bytes() == served.content[digest][1]


def test_every_platform_of_an_index_is_pushed(served: Registry, tmp_path: Path) -> None:
    """Including those that this machine cannot run."""
    places = [{"os": "linux", "architecture": name} for name in ("amd64", "arm64", "s390x")]
    images = [served.put_image("", {**CONFIG, **place}) for place in places]
    put_index(
        served,
        *(
            entry(image, platform=place) | {"size": len(served.content[image][1])}
            for image, place in zip(images, places, strict=True)
        ),
    )
    registry.pull(tagged(served), tmp_path / "back")

    assert {path.name for path in (tmp_path / "back" / "blobs" / "sha256").iterdir()} >= {
        image.removeprefix("sha256:") for image in images
    }


class Old(Registry):
    """A registry from before OCI's media types."""

    def write(self, method: str, where: str, name: str, kind: str, body: bytes) -> Reply:
        if kind == MANIFEST:
            return error(400, "MANIFEST_INVALID", "manifest invalid")
        return super().write(method, where, name, kind, body)


def test_an_image_is_not_converted_for_an_old_registry() -> None:
    with serving(Old()) as old:
        digest = Digest(old.put_image("0.9.0", CONFIG))

        with pytest.raises(Failure, match="does not accept"):
            registry.tag(repository(old), digest, Tag("1.0.0"))
        assert "1.0.0" not in old.content


def test_a_registry_that_accepts_nothing_is_named_with_its_reason(served: Registry, tmp_path: Path) -> None:
    layout, digest = written_layout(tmp_path / "image")
    served.says["PUT .*|POST .*|PATCH .*"] = error(403, "DENIED", "requested access to the resource is denied")

    reason = f"{served.host} does not accept {repository(served)}@{digest}: .*denied"
    with pytest.raises(Failure, match=reason) as refused:
        registry.push(layout, repository(served).at(digest))
    assert refused.value.remedy.startswith(f"docker login {served.host}")

    with pytest.raises(Failure, match=f"{served.host} does not send {tagged(served)}: .*manifest unknown"):
        registry.pull(tagged(served), tmp_path / "back")


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("writing blob: write /var/tmp/oci123: no space left on device", "free some space, here or on the registry"),
        (
            "dial tcp: lookup docker.io on 10.0.0.1:53: no such host",
            "check the network, its DNS and the name docker.io",
        ),
        ("toomanyrequests: too many requests to registry", "try again later: the problem is at docker.io"),
        ("received unexpected HTTP status: 429 Too Many Requests", "try again later: the problem is at"),
        ("from destination repository me/x: 500 (Internal Server Error)", "try again later: the problem is at"),
        ("invalid status code from registry 503 (Service Unavailable)", "try again later: the problem is at"),
        ("uploading layer chunked: StatusCode: 502, <html>", "try again later: the problem is at docker.io"),
    ],
)
def test_an_error_quotes_skopeo_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, remedy: str
) -> None:
    program = tmp_path / "skopeo"
    program.write_text(f'#!/bin/sh\necho \'time="now" level=fatal msg="{words}"\' >&2\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Failure, match=re.escape(words)) as refused:
        registry.push(tmp_path / "image", Reference(f"docker.io/me/x@{ONE}"))
    assert refused.value.remedy.startswith(remedy)


QUESTIONS: dict[str, Callable[[Repository, Path], object]] = {
    "digest": lambda silent, _: registry.digest(silent.at(ONE)),
    "tags": lambda silent, _: registry.tags(silent),
    "labels": lambda silent, _: registry.labels(silent.at(ONE)),
    "platforms": lambda silent, _: registry.platforms(silent.at(ONE)),
    "push": lambda silent, layout: registry.push(layout, silent.at(Tag("1.0.0"))),
    "pull": lambda silent, layout: registry.pull(silent.at(ONE), layout.with_name("back")),
    "tag": lambda silent, _: registry.tag(silent, ONE, Tag("1.0.0")),
}


@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=list(QUESTIONS))
def test_a_registry_that_never_answers_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Callable[[Repository, Path], object]
) -> None:
    monkeypatch.setattr(registry, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(registry, "COPY_SECONDS", 0.2)
    layout, _ = written_layout(tmp_path / "image")
    started = time.monotonic()

    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"localhost:{silent.getsockname()[1]}"
        with pytest.raises(Failure, match=rf"{host} gave no answer within 0\.2 s"):
            ask(Repository(f"{host}/me/x"), layout)
    assert time.monotonic() - started < 5


def test_a_query_has_half_a_minute_and_a_transfer_twenty() -> None:
    assert registry.ANSWER_SECONDS == 30
    assert registry.COPY_SECONDS == 20 * 60


@pytest.mark.parametrize(
    ("name", "local"),
    [
        ("localhost:5001/x", True),
        ("localhost/x:1.0.0", True),
        ("127.0.0.1:80/x", True),
        ("localhost.example/x", False),
        ("docker.io/localhost:1", False),
        ("10.0.0.1:5000/x", False),
    ],
)
def test_a_local_registry_is_recognized_by_its_name(name: str, local: bool) -> None:  # noqa: FBT001
    assert registry.is_local(name) is local
