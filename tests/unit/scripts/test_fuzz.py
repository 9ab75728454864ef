"""Fuzzing of every parser for outside data: a document is read, or refused in one sentence.

By default a few cases each, always the same; at night thousands of new ones: FUZZ_CASES=10000 ./ship unit
"""

import base64
import contextlib
import hashlib
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts import __main__ as command_line
from scripts import artifacts
from scripts.artifacts import Built
from scripts.environments import record_file
from scripts.errors import Failure
from scripts.evidence import cosign, referrers, statements
from scripts.evidence.signer import KeyPair
from scripts.evidence.statements import Claim
from scripts.grammar import (
    Column,
    Digest,
    Key,
    Name,
    Platform,
    RelativePath,
    Repository,
    Revision,
    Tag,
    Token,
    Url,
    Version,
    document,
)
from scripts.oci import registry
from scripts.oci.labels import Release
from scripts.oci.layout import Layout
from scripts.oci.location import parse_references
from scripts.process import Ended

DIGEST = "sha256:" + "0123456789abcdef" * 4
# Text that a program, a shell, a terminal or a line parser would interpret.
HOSTILE = st.sampled_from(
    ["--upload-pack=touch pwned;true", "-o", "$(touch pwned)", "`id`", "'; id #", "a\nb", "a\r\nb", "a\0b", "\x1b[2J",
     "..", "../../x", "\u2028", "\u202e", "", " ", "01.0.0", "\uff11.0.0", "1.0.0\n", DIGEST + "\n", DIGEST.upper(),
     "NaN", "x" * 9999]
)  # fmt: skip
TEXTS = st.text(max_size=40) | HOSTILE | st.sampled_from([DIGEST, "1.0.0", "a" * 40, "linux/amd64", "onnx"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def changed(good: Any) -> st.SearchStrategy[bytes]:
    """Return documents like `good` with one value replaced or removed, or with a few wrong bytes."""
    places = list(_places(good, ()))
    edited = st.builds(
        lambda place, value: json.dumps(_with(good, place, value)).encode(), st.sampled_from(places), JSON
    )
    text = json.dumps(good).encode()
    damaged = st.builds(
        lambda at, new: text[:at] + new + text[at + len(new) :], st.integers(0, len(text)), st.binary(max_size=4)
    )
    return edited | damaged | JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60)


def _places(value: Any, path: tuple[Any, ...]) -> Any:
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _places(inner, (*path, key))


def _with(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _with(copy[path[0]], path[1:], new)
    return copy


def put(layout: Path, content: bytes) -> dict[str, Any]:
    name = hashlib.sha256(content).hexdigest()
    (layout / "blobs/sha256").mkdir(parents=True, exist_ok=True)
    (layout / "blobs/sha256" / name).write_bytes(content)
    return {"digest": f"sha256:{name}", "size": len(content)}


IMAGE = {
    "digest": DIGEST,
    "platforms": {"linux/amd64": DIGEST},
    "size": 1,
    "version": "1.0.0",
    "revision": "a" * 40,
    "model_format": "onnx",
    "base": "python@sha256:3",
    "pipeline": "a" * 40,
    "name": "house-price",
    "data": "training/data/houses.csv",
    "target": "price",
}
INDEX = {"schemaVersion": 2, "manifests": [{"digest": DIGEST, "size": 1, "platform": {"os": "a", "architecture": "b"}}]}
MANIFEST = {"schemaVersion": 2, "config": {"digest": DIGEST, "size": 1}, "layers": [{"digest": DIGEST, "size": 1}]}
CONFIG = {"os": "linux", "architecture": "amd64", "config": {"Labels": {"x": "y"}}, "history": [{"created_by": "COPY"}]}


@given(changed(IMAGE))
def test_a_build_record(content: bytes) -> None:
    try:
        image = document(content, Built, "build/image.json")
    except Failure:
        return
    assert all(map(Digest.matches, [image.digest, *image.platforms.values()]))
    assert all(map(Platform.matches, image.platforms))
    assert Version.matches(image.version)
    assert Name.matches(image.name)
    assert RelativePath.matches(image.data)
    assert Column.matches(image.target)
    assert image.model_format in {"onnx", "joblib"}


@given(top=changed(INDEX) | st.none(), manifest=changed(MANIFEST), config=changed(CONFIG))
def test_an_image_layout(tmp_path_factory: pytest.TempPathFactory, top: bytes, manifest: bytes, config: bytes) -> None:
    folder = tmp_path_factory.mktemp("layout")
    layout = Layout(folder)
    put(folder, config)
    (folder / "index.json").write_bytes(
        top if top is not None else json.dumps({"manifests": [put(folder, manifest)]}).encode()
    )
    for look in (
        lambda: layout.digest,
        lambda: layout.size,
        lambda: [layout.layers(platform) for platform in layout.platforms],
        lambda: [layout.labels(platform) for platform in layout.platforms],
        layout.check,
    ):
        try:
            look()
        except Failure:
            continue
    try:
        platforms = layout.platforms
    except Failure:
        return
    assert all(map(Platform.matches, platforms))
    assert all(map(Digest.matches, platforms.values()))


@given(changed(CONFIG))
def test_an_image_configuration(tmp_path_factory: pytest.TempPathFactory, config: bytes) -> None:
    folder = tmp_path_factory.mktemp("layout")
    manifest = put(folder, json.dumps(MANIFEST | {"config": put(folder, config)}).encode())
    (folder / "index.json").write_text(json.dumps({"manifests": [manifest]}))
    try:
        [labels] = [Layout(folder).labels(platform) for platform in Layout(folder).platforms]
    except Failure:
        return
    assert all(isinstance(name, str) and isinstance(value, str) for name, value in labels.items())


@pytest.mark.parametrize("kind", [Digest, Revision, Version, Name, Platform, RelativePath, Column])
@given(text=TEXTS)
def test_a_label(kind: type[Token], text: str) -> None:
    try:
        value = kind.of(text, "a label")
    except Failure:
        return
    assert value == text
    assert text.isprintable()
    assert kind is Column or not text.startswith("-")


RECORD = f"# What test shall run.\nVERSION=1.0.0\nDIGEST={DIGEST}\nREVISION={'a' * 40}\nURL=https://test.example.com\n"


INSERTED = TEXTS | st.sampled_from(["\n", "="])


@given(
    st.builds(lambda at, new: RECORD[:at] + new + RECORD[at:], st.integers(0, len(RECORD)), INSERTED).map(
        lambda text: text.encode("utf-8", "replace")
    )
    | st.lists(st.sampled_from(RECORD.splitlines()), max_size=8).map(lambda lines: "\n".join(lines).encode())
    | st.binary(max_size=200)
)
def test_an_environment_record(content: bytes) -> None:
    try:
        fields = record_file.parse(content, "test.env")
    except Failure:
        return
    text = content.decode()
    assert all(line.isprintable() for line in text.split("\n"))
    assert not [line for line in text.split("\n") if set(line) & set("$`\\\"'") and not line.startswith("#")]
    if fields.release:
        assert Version.matches(fields.release.version)
        assert Digest.matches(fields.release.digest)
        assert Revision.matches(fields.release.revision)
    assert fields.url is None or Url.matches(fields.url)


HUB = Repository("docker.io/me/x")


@contextlib.contextmanager
def answered(content: bytes, error: str = "") -> Iterator[None]:
    """Let every program print `content`, or fail with `error`."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (registry, referrers, cosign):
            patch.setattr(module, "attempt", lambda *_, **__: Ended(int(bool(error)), content, error))
        yield


@given(changed(INDEX) | changed(MANIFEST) | changed(CONFIG))
def test_the_manifest_of_a_registry(content: bytes) -> None:
    with answered(content):
        for ask in (registry.labels, registry.platforms):
            with contextlib.suppress(Failure):
                found = ask(HUB.at(Tag("1.0.0")))
                assert found is not None
                assert isinstance(found, dict) or all(map(Platform.matches, found))


@given(changed({"Repository": "docker.io/me/x", "Tags": ["1.0.0", "latest"]}))
def test_a_list_of_tags(content: bytes) -> None:
    with answered(content), contextlib.suppress(Failure):
        assert all(map(Tag.matches, registry.tags(HUB)))


@given(st.text(max_size=200) | st.sampled_from(["manifest unknown", "denied", "not found", "\x1b[2J"]))
def test_the_error_of_a_registry(error: str) -> None:
    with answered(b"", error or "x"), contextlib.suppress(Failure):
        assert registry.digest(HUB.at(Tag("1.0.0"))) is None
        assert "reading manifest" in error, "only a registry's own answer means absent"


BUNDLE = {"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "dsseEnvelope": {"payload": "e30="}}
SAID = {"payload": "eyJwcmVkaWNhdGUiOiB7fX0=", "payloadType": "application/vnd.in-toto+json"}


@given(st.lists(changed(BUNDLE), max_size=3).map(b"\n".join))
def test_referrers(content: bytes) -> None:
    with answered(content), contextlib.suppress(Failure):
        attached = referrers.read(HUB, Digest(DIGEST))
        assert all(isinstance(one, bytes) for one in attached.bundles)


@given(st.lists(changed(SAID), max_size=3).map(b"\n".join))
def test_the_output_of_cosign(content: bytes) -> None:
    attached = referrers.Referrers(HUB, Digest(DIGEST), (_bundle(json.dumps(STATEMENT).encode()),))
    with answered(content), contextlib.suppress(Failure):
        for statement in cosign.statements(attached, KeyPair(None, Key("a.pub")), statements.TESTS):
            json.loads(statement)


STATEMENT = {"predicateType": statements.TESTS, "predicate": {}}


def _bundle(payload: bytes) -> bytes:
    return json.dumps({"dsseEnvelope": {"payload": base64.b64encode(payload).decode()}}).encode()


@given(changed(STATEMENT).map(_bundle) | changed({"dsseEnvelope": {"payload": "e30="}}))
def test_a_bundle(content: bytes) -> None:
    with answered(b"", "error during command execution: no matching attestations: by nobody"):
        attached = referrers.Referrers(HUB, Digest(DIGEST), (content,))
        assert cosign.explain_refusal(attached, KeyPair(None, Key("a.pub")), statements.TESTS) in {"", "by nobody"}


RELEASE = Release(Version("1.0.0"), Digest(DIGEST), Revision("a" * 40))
CLAIM = Claim(RELEASE, frozenset({Platform("linux/amd64")}))
SUITE = {"name": "tests/integration", "digest": {"gitCommit": "a" * 40},
         "annotations": {"platform": "linux/amd64", "passed": 1, "failed": 0}}  # fmt: skip
TESTS = {"result": "PASSED", "configuration": [SUITE]}
SBOM = {
    "metadata": {"component": {"type": "container", "hashes": [{"alg": "SHA-256", "content": RELEASE.digest.encoded}]}},
    "components": [{"type": "library"}, {"type": "machine-learning-model"}],
}


@given(changed(TESTS))
def test_a_test_result(content: bytes) -> None:
    with contextlib.suppress(Failure):
        statements.check_test_result(content, CLAIM)
        suite = json.loads(content)["configuration"][0]
        assert suite["annotations"]["passed"] > 0 == suite["annotations"]["failed"]
        assert suite["digest"]["gitCommit"] == RELEASE.revision


@given(changed(SBOM))
def test_a_bill_of_materials(content: bytes) -> None:
    with contextlib.suppress(Failure):
        statements.check_sbom(content, CLAIM.release.digest)
        assert RELEASE.digest.encoded in json.dumps(json.loads(content)["metadata"])


@given(TEXTS | st.builds("{}{}{}".format, TEXTS, st.sampled_from([":", "@", "/"]), TEXTS))
def test_a_reference(text: str) -> None:
    with contextlib.suppress(Failure):
        for reference in parse_references(text, [HUB]):
            assert Repository.matches(reference.repository)
            assert reference.tag or reference.digest
            assert text.isprintable()
            assert not text.startswith("-")


@pytest.mark.parametrize(
    "command", [["verify"], ["reproduce"], ["release"], ["setup", "--platform"], ["build", "--platform"], ["up"]]
)
@given(text=TEXTS)
def test_command_line_arguments(tmp_path_factory: pytest.TempPathFactory, command: list[str], text: str) -> None:
    """No registry has the image, and no engine runs."""
    with answered(b"", "no such thing"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(artifacts, "BUILD", tmp_path_factory.mktemp("build"))
        patch.setenv("PATH", "/nowhere")
        patch.setattr(sys, "argv", ["./ship", *command, text])
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            assert command_line.main() in {0, 1, 2}
    assert not {"\x1b", "\u2028", "\u202e", "\0"} & set(printed.getvalue())
