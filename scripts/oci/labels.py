"""The labels of an image, and the release that they name.

Source of the first six: https://github.com/opencontainers/image-spec/blob/v1.1.0/annotations.md
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from scripts.grammar import Digest, Revision, Version

TITLE = "org.opencontainers.image.title"
DESCRIPTION = "org.opencontainers.image.description"
LICENSES = "org.opencontainers.image.licenses"
VERSION = "org.opencontainers.image.version"
REVISION = "org.opencontainers.image.revision"
CREATED = "org.opencontainers.image.created"
# This project's own: the table in the repository of REVISION, the column that is predicted, and the model's format.
DATA = "com.shipshape.model.data"
TARGET = "com.shipshape.model.target"
MODEL_FORMAT = "com.shipshape.model.format"
PIPELINE = "com.shipshape.pipeline.revision"
"""The commit of this repository, when REVISION belongs to another one."""


@dataclass(frozen=True)
class Release:
    """One image, by its digest, with the version and revision on its labels."""

    version: Version
    digest: Digest
    revision: Revision
    """The commit that it was built from."""

    @classmethod
    def labelled(cls, digest: Digest, labels: Mapping[str, str], what: str) -> Self:
        """Return the release that the `labels` of the image `what` name. Raises Failure when they name none."""
        return cls(
            Version.of(labels.get(VERSION, ""), f"the label {VERSION} of {what}"),
            digest,
            Revision.of(labels.get(REVISION, ""), f"the label {REVISION} of {what}"),
        )

    def __str__(self) -> str:
        return f"{self.version} ({self.digest.short})"
