"""The packed image depends on its content, not on the release of BuildKit that built it."""

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from scripts.errors import Failure
from scripts.oci.layout import Layout
from scripts.oci.packing import pack

BASE, CODE = b"the files of the base " * 500, b"the files of the code " * 500
AT = "2026-01-02T03:04:05Z"
MADE = [{"created": AT, "created_by": "COPY base"}, {"created": AT, "created_by": "COPY code"}]


def add(layout: Path, content: bytes) -> dict[str, Any]:
    name = hashlib.sha256(content).hexdigest()
    (layout / "blobs/sha256").mkdir(parents=True, exist_ok=True)
    (layout / "blobs/sha256" / name).write_bytes(content)
    return {"digest": f"sha256:{name}", "size": len(content)}


def manifest(layout: Path, *, old: bool = True, architecture: str = "amd64", version: str = "1.0.0") -> dict[str, Any]:
    """Put into `layout` what BuildKit writes, in the form of an older or a newer release."""
    layers = [add(layout, content) for content in (BASE, CODE)]
    noted = {
        "created": AT,
        "created_by": "EXPOSE map[5000/tcp:{}]" if old else "EXPOSE [5000/tcp]",
        "empty_layer": True,
    }
    config: dict[str, Any] = {
        "architecture": architecture,
        "os": "linux",
        "config": {
            "Labels": {"version": version},
            "ExposedPorts": {"5000/tcp": {}},
            **({"ArgsEscaped": True} if old else {}),
        },
        "created": AT,
        "history": [{**step, **({"comment": "buildkit"} if old else {})} for step in MADE] + [noted],
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
    }
    if not old:
        config = {**dict(reversed(config.items())), "variant": "v8", "parent": None}
    described = [
        {**layer, **({"annotations": {"buildkit/rewritten-timestamp": "1"}} if old else {})} for layer in layers
    ]
    return add(layout, json.dumps({"config": add(layout, json.dumps(config).encode()), "layers": described}).encode())


def index(layout: Path, *, old: bool = True) -> dict[str, Any]:
    entries = [
        {**manifest(layout, architecture=one, old=old), "platform": {"os": "linux", "architecture": one}}
        for one in ("amd64", "arm64")
    ]
    return add(layout, json.dumps({"manifests": entries, "annotations": {"old": str(old)}}).encode())


def named(layout: Path, top: dict[str, Any]) -> Path:
    (layout / "index.json").write_text(json.dumps({"manifests": [top]}))
    return layout


def packed(built: Path) -> Layout:
    made = built.with_name(f"{built.name}-packed")
    pack(built, made)
    layout = Layout(made)
    layout.check()
    return layout


@pytest.mark.parametrize("make", [manifest, index])
def test_two_releases_of_buildkit_give_one_digest(tmp_path: Path, make: Any) -> None:
    first, second = (named(tmp_path / str(old), make(tmp_path / str(old), old=old)) for old in (True, False))
    assert Layout(first).digest != Layout(second).digest

    assert packed(first).digest == packed(second).digest


def test_a_changed_setting_changes_the_digest(tmp_path: Path) -> None:
    first, second = (named(tmp_path / one, manifest(tmp_path / one, version=one)) for one in ("1.0.0", "1.0.1"))

    assert packed(first).digest != packed(second).digest


def test_packing_keeps_files_and_settings(tmp_path: Path) -> None:
    layout = packed(named(tmp_path / "built", manifest(tmp_path / "built")))

    layers = layout.layers("linux/amd64")
    assert [gzip.decompress((layout.path / "blobs/sha256" / one.digest.encoded).read_bytes()) for one in layers] == [
        BASE,
        CODE,
    ]
    assert [one.created_by for one in layers] == ["COPY base", "COPY code"]
    config = layout.config("linux/amd64")
    assert config["config"] == {"Labels": {"version": "1.0.0"}, "ExposedPorts": {"5000/tcp": {}}}
    assert config["history"] == MADE
    assert [f"sha256:{hashlib.sha256(one).hexdigest()}" for one in (BASE, CODE)] == config["rootfs"]["diff_ids"]


def test_platforms_share_equal_layers(tmp_path: Path) -> None:
    layout = packed(named(tmp_path / "built", index(tmp_path / "built")))

    amd64, arm64 = (layout.layers(platform) for platform in ("linux/amd64", "linux/arm64"))
    assert amd64 == arm64
    assert len(layout.platforms) == 2
    # Two layers; a configuration and a manifest for each; and the index.
    assert len(list((layout.path / "blobs/sha256").iterdir())) == 2 + 2 * 2 + 1


def test_documents_name_their_media_types(tmp_path: Path) -> None:
    layout = packed(named(tmp_path / "built", manifest(tmp_path / "built")))

    assert json.loads((layout.path / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    [top] = json.loads((layout.path / "index.json").read_bytes())["manifests"]
    content = (layout.path / "blobs" / layout.digest.replace(":", "/")).read_bytes()
    image = "application/vnd.oci.image"
    assert top == {"mediaType": f"{image}.manifest.v1+json", "digest": layout.digest, "size": len(content)}
    written = json.loads(content)
    assert (written["schemaVersion"], written["mediaType"]) == (2, top["mediaType"])
    assert written["config"]["mediaType"] == f"{image}.config.v1+json"
    assert {layer["mediaType"] for layer in written["layers"]} == {f"{image}.layer.v1.tar+gzip"}


def test_a_compressed_layer_is_refused(tmp_path: Path) -> None:
    built = tmp_path / "built"
    layers = [add(built, gzip.compress(BASE))]
    config = {
        "os": "linux",
        "architecture": "amd64",
        "config": {},
        "history": [],
        "rootfs": {"diff_ids": [add(built, BASE)["digest"]]},
    }
    top = add(built, json.dumps({"config": add(built, json.dumps(config).encode()), "layers": layers}).encode())

    with pytest.raises(Failure, match="BuildKit compressed the layers"):
        packed(named(built, top))


def test_a_changed_blob_is_refused(tmp_path: Path) -> None:
    built = named(tmp_path / "built", manifest(tmp_path / "built"))
    (built / "blobs/sha256" / hashlib.sha256(CODE).hexdigest()).write_bytes(BASE)

    with pytest.raises(Failure, match="has changed since the build"):
        packed(built)


def test_the_bytes_are_those_of_earlier_releases(tmp_path: Path) -> None:
    """Another digest means that a new libdeflate compresses differently, so that no older image can be rebuilt."""
    built = tmp_path / "built"
    words = b" ".join(str(number * number % 99_991).encode() for number in range(50_000))
    config = {"os": "linux", "architecture": "amd64", "config": {}, "history": []}
    layer = add(built, words)
    config["rootfs"] = {"type": "layers", "diff_ids": [layer["digest"]]}
    top = {"config": add(built, json.dumps(config).encode()), "layers": [layer]}

    assert (
        packed(named(built, add(built, json.dumps(top).encode()))).digest
        == "sha256:f53fa9a12af129efc56bac70095d3ce5819c497bad428dfc6c39fbd8377411cb"
    )


def test_a_platform_keeps_only_architecture_and_system(tmp_path: Path) -> None:
    built = tmp_path / "built"
    platform = {"os": "linux", "architecture": "arm64", "variant": "v8"}
    entry = {**manifest(built, old=False, architecture="arm64"), "platform": platform}
    layout = packed(named(built, add(built, json.dumps({"manifests": [entry]}).encode())))

    [entry] = json.loads((layout.path / "blobs" / layout.digest.replace(":", "/")).read_bytes())["manifests"]
    assert entry["platform"] == {"os": "linux", "architecture": "arm64"}


@pytest.mark.parametrize(
    "top", [b"[]", b'{"manifests": [{}]}', b"{}", b'{"config": {"digest": "sha256:1"}, "layers": []}']
)
def test_a_document_that_is_no_image_is_refused(tmp_path: Path, top: bytes) -> None:
    built = tmp_path / "built"

    with pytest.raises(Failure):
        packed(named(built, add(built, top)))
