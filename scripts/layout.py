"""Reading an OCI image layout: the directory that is built, tested and moved.

Source of the format: https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md
"""

import hashlib
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.failure import Failure


@dataclass(frozen=True)
class Layer:
    """One layer of one platform's image."""

    digest: str
    created_by: str
    """The instruction of the Dockerfile that made it."""


@dataclass(frozen=True)
class Layout:
    """The one image in an OCI layout. Raises Failure when there is none, or when a blob is not what its name says."""

    path: Path

    @property
    def digest(self) -> str:
        """The digest of the image: of its manifest, or of its index when it holds several platforms."""
        return str(self._top()["digest"])

    @property
    def platforms(self) -> dict[str, str]:
        """The digest of each platform's manifest, by `os/architecture`."""
        found = {}
        for manifest in self._manifests():
            config = self._blob(self._blob(manifest)["config"]["digest"])
            found[f"{config['os']}/{config['architecture']}"] = manifest
        return found

    @property
    def size(self) -> int:
        """Bytes that a registry stores for the layers of all platforms, compressed."""
        layers = {layer["digest"]: layer["size"] for m in self._manifests() for layer in self._blob(m)["layers"]}
        return sum(layers.values())

    def layers(self, platform: str) -> list[Layer]:
        """Return the layers of `platform`, the lowest first."""
        manifest = self._blob(self.platforms[platform])
        history = [step for step in self.config(platform).get("history", []) if not step.get("empty_layer")]
        made_by = [str(step.get("created_by", "")) for step in history] + [""] * len(manifest["layers"])
        return [Layer(layer["digest"], by) for layer, by in zip(manifest["layers"], made_by, strict=False)]

    def config(self, platform: str) -> dict[str, Any]:
        """Return the image configuration of `platform`."""
        return self._blob(self._blob(self.platforms[platform])["config"]["digest"])

    def files(self, layer: Layer) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
        """Give each entry of `layer`, in its order, with the content of those that are regular files."""
        path = self.path / "blobs" / layer.digest.replace(":", "/")
        with tarfile.open(path) as archive:
            for entry in archive:
                file = archive.extractfile(entry) if entry.isreg() else None
                yield entry, file.read() if file else b""

    def check(self) -> None:
        """Read every blob and compare its bytes with its name."""
        for blob in sorted((self.path / "blobs" / "sha256").iterdir()):
            with blob.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != blob.name:
                    raise Failure(f"the blob {blob.name} in {self.path} was changed after the build", "./ship build")

    def _top(self) -> dict[str, Any]:
        try:
            manifests = json.loads((self.path / "index.json").read_bytes())["manifests"]
        except (OSError, ValueError, KeyError) as unreadable:
            raise Failure(f"no OCI layout in {self.path}", "./ship build") from unreadable
        if len(manifests) != 1:
            raise Failure(f"{self.path} holds {len(manifests)} images, not one", "./ship build")
        return dict(manifests[0])

    def _manifests(self) -> list[str]:
        top = self._blob(self.digest)
        return [entry["digest"] for entry in top["manifests"]] if "manifests" in top else [self.digest]

    def _blob(self, digest: str) -> dict[str, Any]:
        try:
            return dict(json.loads((self.path / "blobs" / digest.replace(":", "/")).read_bytes()))
        except (OSError, ValueError) as unreadable:
            raise Failure(f"the blob {digest} in {self.path} is missing or unreadable", "./ship build") from unreadable
