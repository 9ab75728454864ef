"""Reading an OCI image layout: the directory that the pipeline builds, tests and publishes.

Source of the format: https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md
"""

import hashlib
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from scripts.errors import Failure
from scripts.grammar import Digest, Platform, document
from scripts.oci.manifest import Config, Descriptor, Index, Manifest

Document = TypeVar("Document")
# What registries accept for an index or a manifest: https://github.com/opencontainers/distribution-spec
LARGEST_DOCUMENT = 4 << 20


@dataclass(frozen=True)
class Layer:
    """One layer of one platform's image."""

    digest: Digest
    created_by: str
    """The instruction of the Dockerfile that made it."""


@dataclass(frozen=True)
class Layout:
    """The one image in an OCI layout. Raises Failure when there is none, or when a blob does not match its name."""

    path: Path

    @property
    def digest(self) -> Digest:
        """The digest of the image: of its manifest, or of its index when it has several platforms."""
        return self._top().digest

    @property
    def platforms(self) -> dict[Platform, Digest]:
        """The digest of each platform's manifest."""
        return {self._config(manifest).platform: manifest for manifest in self._manifests()}

    @property
    def size(self) -> int:
        """Bytes that a registry stores for the layers of all platforms, compressed."""
        return sum(
            {layer.digest: layer.size for one in self._manifests() for layer in self._manifest(one).layers}.values()
        )

    def layers(self, platform: str) -> list[Layer]:
        """Return the layers of `platform`, lowest first."""
        digest = self.platforms[Platform(platform)]
        layers = self._manifest(digest).layers
        made_by = [step.created_by for step in self._config(digest).history if not step.empty_layer]
        made_by += [""] * len(layers)
        return [Layer(layer.digest, by) for layer, by in zip(layers, made_by, strict=False)]

    def labels(self, platform: str) -> dict[str, str]:
        """Return the labels of `platform`."""
        return self._config(self.platforms[Platform(platform)]).labels

    def config(self, platform: str) -> dict[str, Any]:
        """Return the whole image configuration of `platform`."""
        return self._document(self._manifest(self.platforms[Platform(platform)]).config.digest, dict[str, Any])

    def files(self, layer: Layer) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
        """Yield each entry of `layer` in order, with its content if it is a regular file."""
        try:
            with tarfile.open(self._blob(layer.digest)) as archive:
                for entry in archive:
                    file = archive.extractfile(entry) if entry.isreg() else None
                    yield entry, file.read() if file else b""
        except (OSError, EOFError, zlib.error, tarfile.TarError) as unreadable:
            raise Failure(f"the layer {layer.digest} in {self.path} cannot be read: {unreadable}") from unreadable

    def check(self) -> None:
        """Check every blob against its name. Raises Failure when one differs."""
        try:
            for blob in sorted((self.path / "blobs" / "sha256").iterdir()):
                with blob.open("rb") as file:
                    if hashlib.file_digest(file, "sha256").hexdigest() != blob.name:
                        raise self._changed(blob.name)
        except OSError as unreadable:
            raise Failure(f"{self.path} cannot be read: {unreadable}", "./ship build") from unreadable

    def _top(self) -> Descriptor:
        try:
            content = (self.path / "index.json").read_bytes()
        except OSError as unreadable:
            raise Failure(f"no OCI layout in {self.path}", "./ship build") from unreadable
        manifests = document(content, Index, f"{self.path}/index.json", "./ship build").manifests
        if len(manifests) != 1:
            raise Failure(f"{self.path} has {len(manifests)} images instead of one", "./ship build")
        return manifests[0]

    def _manifests(self) -> list[Digest]:
        top = self._document(self.digest, dict[str, Any])
        if "manifests" not in top:
            return [self.digest]
        if not (entries := self._document(self.digest, Index).manifests):
            raise Failure(f"the index {self.digest} in {self.path} is empty", "./ship build")
        return [entry.digest for entry in entries]

    def _manifest(self, digest: Digest) -> Manifest:
        return self._document(digest, Manifest)

    def _config(self, manifest: Digest) -> Config:
        return self._document(self._manifest(manifest).config.digest, Config)

    def _document(self, digest: Digest, kind: type[Document]) -> Document:
        """Return the blob `digest` as `kind`. Raises Failure when its bytes are others, or no such document."""
        try:
            with self._blob(digest).open("rb") as file:
                content = file.read(LARGEST_DOCUMENT)
        except OSError as unreadable:
            raise Failure(f"the blob {digest} in {self.path} is missing or unreadable", "./ship build") from unreadable
        if hashlib.sha256(content).hexdigest() != digest.encoded:
            raise self._changed(digest.encoded)
        return document(content, kind, f"the blob {digest} in {self.path}", "./ship build")

    def _blob(self, digest: Digest) -> Path:
        return self.path / "blobs" / "sha256" / digest.encoded

    def _changed(self, blob: str) -> Failure:
        return Failure(f"the blob {blob} in {self.path} has changed since the build", "./ship build")
