"""The documents of an OCI image: the parts of an index, a manifest and a configuration that the pipeline reads.

Source: https://github.com/opencontainers/image-spec/tree/v1.1.0
"""

from typing import Annotated

import msgspec

from scripts.grammar import Digest, Platform

# Media types.
MANIFEST, INDEX = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"
Size = Annotated[int, msgspec.Meta(ge=0)]


class Target(msgspec.Struct, frozen=True):
    """What an image runs on."""

    os: str
    architecture: str

    @property
    def platform(self) -> Platform:
        """The platform. Raises Failure when it is not one."""
        return Platform.of(f"{self.os}/{self.architecture}", "the image's platform")


class Descriptor(msgspec.Struct, frozen=True):
    """Names a blob or a manifest by its digest."""

    digest: Digest
    size: Size
    platform: Target | None = None
    """In an index: what that image runs on."""


class Index(msgspec.Struct, frozen=True):
    manifests: list[Descriptor]


class Manifest(msgspec.Struct, frozen=True):
    config: Descriptor
    layers: list[Descriptor]


class Settings(msgspec.Struct, frozen=True, rename={"labels": "Labels"}):
    labels: dict[str, str] | None = None


class Step(msgspec.Struct, frozen=True):
    """One instruction of the Dockerfile."""

    created_by: str = ""
    empty_layer: bool = False


class Config(Target, frozen=True):
    """The configuration of one platform's image."""

    config: Settings = Settings()
    history: list[Step] = []

    @property
    def labels(self) -> dict[str, str]:
        return self.config.labels or {}
