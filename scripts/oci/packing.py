"""Repacks what BuildKit built, so that every release of BuildKit gives the same bytes.

Releases of BuildKit agree on the files of a layer, but differ in how they compress it and in the metadata that they
add. So one pinned libdeflate compresses the layers here, and the documents keep only what defines the image.
Sources: https://github.com/opencontainers/image-spec/blob/v1.1.0/manifest.md, config.md and image-layout.md there.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import deflate

from scripts.errors import Failure
from scripts.grammar import Digest
from scripts.oci.layout import Layout
from scripts.oci.manifest import INDEX, MANIFEST

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"
# A higher level takes three times as long and saves one percent.
LEVEL = 6


def pack(built: Path, packed: Path) -> None:
    """Pack the OCI layout `built`, whose layers are uncompressed, into the new layout `packed`.

    Raises Failure when `built` is not such a layout, or a blob in it does not match its name.
    """
    layout = Layout(built)
    layout.check()
    (packed / "blobs" / "sha256").mkdir(parents=True)
    try:
        top = _Packing(built, packed).document(layout.digest)
    except (KeyError, TypeError, ValueError) as odd:
        raise Failure(f"BuildKit built an image that cannot be packed: {odd!r}", "./ship build --no-cache") from odd
    _write(packed / "oci-layout", {"imageLayoutVersion": "1.0.0"})
    _write(packed / "index.json", {"schemaVersion": 2, "mediaType": INDEX, "manifests": [top]})


@dataclass(frozen=True)
class _Packing:
    built: Path
    packed: Path
    layers: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Packed layers by their digest before packing: platforms share some."""

    def document(self, digest: str) -> dict[str, Any]:
        """Pack an index or a manifest, with everything below it, and return the new descriptor."""
        was = json.loads(self._read(digest))
        if "manifests" in was:
            below = [
                {**self.document(entry["digest"]), "platform": _platform(entry["platform"])}
                for entry in was["manifests"]
            ]
            return self._add(INDEX, {"schemaVersion": 2, "mediaType": INDEX, "manifests": below})
        return self._manifest(was)

    def _manifest(self, was: Mapping[str, Any]) -> dict[str, Any]:
        config = json.loads(self._read(was["config"]["digest"]))
        if [layer["digest"] for layer in was["layers"]] != config["rootfs"]["diff_ids"]:
            raise Failure("BuildKit compressed the layers although it was asked not to", "./ship build --no-cache")
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._add(CONFIG, _normalize(config)),
            "layers": [self._layer(layer["digest"]) for layer in was["layers"]],
        }
        return self._add(MANIFEST, manifest)

    def _layer(self, digest: str) -> dict[str, Any]:
        if digest not in self.layers:
            self.layers[digest] = self._put(LAYER, bytes(deflate.gzip_compress(self._read(digest), LEVEL)))
        return self.layers[digest]

    def _read(self, digest: str) -> bytes:
        return (self.built / "blobs" / "sha256" / Digest(digest).encoded).read_bytes()

    def _add(self, kind: str, document: Mapping[str, Any]) -> dict[str, Any]:
        return self._put(kind, _encode(document))

    def _put(self, kind: str, content: bytes) -> dict[str, Any]:
        name = hashlib.sha256(content).hexdigest()
        (self.packed / "blobs" / "sha256" / name).write_bytes(content)
        return {"mediaType": kind, "digest": f"sha256:{name}", "size": len(content)}


def _normalize(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration without the parts that releases of BuildKit write differently and nothing reads.

    The history keeps the steps that made a layer. The others repeat the settings, in words that change by release.
    """
    steps = [step for step in config["history"] if not step.get("empty_layer")]
    history = [{"created": step["created"], "created_by": step["created_by"]} for step in steps]
    settings = {**config["config"], "ArgsEscaped": None}
    return {**config, "variant": None, "history": history, "config": settings}


def _platform(was: Mapping[str, Any]) -> dict[str, Any]:
    return {name: was[name] for name in ("architecture", "os")}


def _encode(document: Mapping[str, Any]) -> bytes:
    return json.dumps(_drop_nulls(document), sort_keys=True, separators=(",", ":")).encode()


def _drop_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {name: _drop_nulls(one) for name, one in value.items() if one is not None}
    return value


def _write(path: Path, document: Mapping[str, Any]) -> None:
    path.write_bytes(_encode(document))
