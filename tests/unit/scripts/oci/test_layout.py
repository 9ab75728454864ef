"""Reading an OCI layout."""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from scripts.errors import Failure
from scripts.oci.layout import Layout


def blob(layout: Path, content: bytes) -> dict[str, Any]:
    name = hashlib.sha256(content).hexdigest()
    (layout / "blobs" / "sha256" / name).write_bytes(content)
    return {"digest": f"sha256:{name}", "size": len(content)}


def image(layout: Path, architecture: str, *layers: bytes) -> dict[str, Any]:
    config = {"os": "linux", "architecture": architecture, "config": {"Labels": {"version": "1.0.0"}}}
    manifest = {
        "config": blob(layout, json.dumps(config).encode()),
        "layers": [blob(layout, layer) for layer in layers],
    }
    return blob(layout, json.dumps(manifest).encode())


def index(layout: Path, *manifests: dict[str, Any]) -> None:
    (layout / "index.json").write_text(json.dumps({"manifests": manifests}))


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    (tmp_path / "blobs" / "sha256").mkdir(parents=True)
    return tmp_path


def test_an_image_for_one_platform_is_read(empty: Path) -> None:
    manifest = image(empty, "amd64", b"base", b"service")
    index(empty, manifest)
    layout = Layout(empty)
    layout.check()

    assert layout.digest == manifest["digest"]
    assert layout.platforms == {"linux/amd64": manifest["digest"]}
    assert layout.size == len(b"base") + len(b"service")


def test_an_index_of_two_platforms_counts_a_shared_layer_once(empty: Path) -> None:
    manifests = [image(empty, architecture, b"shared", architecture.encode()) for architecture in ("amd64", "arm64")]
    top = blob(empty, json.dumps({"manifests": manifests}).encode())
    index(empty, top)
    layout = Layout(empty)

    assert layout.digest == top["digest"]
    assert list(layout.platforms) == ["linux/amd64", "linux/arm64"]
    assert layout.size == len(b"shared") + 2 * len(b"amd64")


def test_a_changed_blob_is_found(empty: Path) -> None:
    index(empty, image(empty, "amd64", b"base"))
    name = hashlib.sha256(b"base").hexdigest()
    (empty / "blobs" / "sha256" / name).write_bytes(b"other")

    with pytest.raises(Failure, match=name):
        Layout(empty).check()


@pytest.mark.parametrize("manifests", [0, 2])
def test_a_layout_must_hold_exactly_one_image(empty: Path, manifests: int) -> None:
    index(empty, *[image(empty, "amd64", b"base")] * manifests)

    with pytest.raises(Failure, match=f"{manifests} images"):
        _ = Layout(empty).digest


def test_an_empty_index_is_refused(empty: Path) -> None:
    index(empty, blob(empty, b'{"manifests": []}'))

    with pytest.raises(Failure, match="is empty"):
        _ = Layout(empty).platforms


def test_a_changed_manifest_is_not_read(empty: Path) -> None:
    manifest = image(empty, "amd64", b"base")
    index(empty, manifest)
    path = empty / "blobs" / manifest["digest"].replace(":", "/")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n") + b" ")

    with pytest.raises(Failure, match="has changed since the build"):
        _ = Layout(empty).platforms


def test_a_missing_layout_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(Failure) as failure:
        _ = Layout(tmp_path / "nowhere").digest

    assert failure.value.remedy == "./ship build"


def test_a_layer_has_its_files_and_its_instruction(empty: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo("opt/service/app.py")
        entry.size = 5
        archive.addfile(tarfile.TarInfo("opt"))
        archive.addfile(entry, io.BytesIO(b"print"))
    config = {
        "os": "linux",
        "architecture": "amd64",
        "history": [{"created_by": "ENV A=1", "empty_layer": True}, {"created_by": "COPY app/ /opt/service/"}],
    }
    manifest = {"config": blob(empty, json.dumps(config).encode()), "layers": [blob(empty, packed.getvalue())]}
    index(empty, blob(empty, json.dumps(manifest).encode()))

    [layer] = Layout(empty).layers("linux/amd64")

    assert layer.created_by == "COPY app/ /opt/service/"
    assert [(entry.name, content) for entry, content in Layout(empty).files(layer)] == [
        ("opt", b""),
        ("opt/service/app.py", b"print"),
    ]
