"""Every parser at a door, with what nobody would send: it is read, or refused in a sentence, and nothing else happens.

A hundred cases each, always the same; at night thousands, new ones each time: FUZZ_CASES=10000 ./ship unit
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts import build
from scripts.failure import Failure
from scripts.grammar import Column, Digest, Name, Platform, RelativePath, Revision, Token, Version, document
from scripts.layout import Layout

DIGEST = "sha256:" + "0123456789abcdef" * 4
# What a program, a shell, a terminal or a reader of lines would act on.
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
    """Return documents like `good` with one value of another kind, without one, or with a few bytes that are wrong."""
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
def test_the_record_of_a_build(content: bytes) -> None:
    try:
        image = document(content, build.Built, "build/image.json")
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
def test_a_configuration_of_an_image(tmp_path_factory: pytest.TempPathFactory, config: bytes) -> None:
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
