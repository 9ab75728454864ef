"""The files under `build/` that stages hand to each other: their paths, types and checks.

Stages read and write them only through this module. Each file names the digest of its image, so that a record of
another image is never taken for evidence.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from scripts import BUILD
from scripts.errors import Failure
from scripts.grammar import (
    Column,
    Digest,
    Name,
    Platform,
    Reference,
    RelativePath,
    Repository,
    Tag,
    Url,
    Version,
    WorkTree,
    document,
)
from scripts.oci.layout import Layout

IMAGE = BUILD / "image"
"""The image, an OCI layout."""
SBOM = BUILD / "sbom.cdx.json"
LOGS = BUILD / "logs"
# The notes and the attachments of a release on GitHub.
NOTES = BUILD / "release" / "notes.md"
RELEASED_SBOM = BUILD / "release" / "sbom.cdx.json"
PROVENANCE = BUILD / "release" / "provenance.intoto.jsonl"

_BUILT, _TESTED, _SCANNED, _PUBLISHED = "image.json", "tested", "scan.json", "published.json"

# The integration tests by their names for `./ship integration --only`.
SUITES = {"all": "tests/integration", "image": "tests/integration/image"}
# Under emulation only predictions are tested: times, stopping and resources would show QEMU, not the image.
EMULATED = "tests/integration/image/test_predict.py"


@dataclass(frozen=True)
class Built:
    """The built image in `build/image/`, described by `build/image.json`."""

    digest: Digest
    platforms: dict[Platform, Digest]
    size: int
    """Compressed bytes of all layers."""
    version: Version
    revision: WorkTree
    model_format: Literal["onnx", "joblib"]
    base: str
    """The base image: by digest if it was pulled, by local name and image ID if it was made here."""
    pipeline: WorkTree
    """The commit of this checkout, which built the image: `revision`, unless the table is from another repository."""
    name: Name
    data: RelativePath
    target: Column
    """Name, table and target of the model: see `scripts.shipment`."""


@dataclass(frozen=True)
class Counts:
    """The test counts of a suite."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __str__(self) -> str:
        if not (self.passed or self.failed or self.skipped):
            return "no test ran"
        return f"{self.passed} passed, {self.failed} failed" + (f", {self.skipped} skipped" if self.skipped else "")


@dataclass(frozen=True)
class Passed:
    """A digest passed a suite on one platform: `build/tested/OS-ARCHITECTURE.json`."""

    digest: Digest
    platform: Platform
    suite: str
    counts: Counts


@dataclass(frozen=True)
class Scanned:
    """The scan found nothing that stops the release, or could not check: `build/scan.json`."""

    digest: Digest
    outcome: Literal["clean", "not checked"]
    source: Url
    at: str
    """Time of the scan, RFC 3339, UTC."""
    checked: int
    """Number of components that were checked."""
    findings: list[dict[str, Any]]
    """Vulnerabilities that do not stop a release, each with the reason."""
    allowed: list[dict[str, Any]]
    """Vulnerabilities that an exception allows, each with the exception."""


@dataclass(frozen=True)
class Published:
    """The last image published from here: `build/published.json`."""

    version: Version
    digest: Digest
    tags: dict[Repository, list[Tag]]


def built() -> Built:
    """Return the last build. Raises Failure when there is none, or when the layout is another image."""
    try:
        content = (BUILD / _BUILT).read_bytes()
    except OSError as missing:
        raise Failure("nothing has been built yet", "./ship build") from missing
    record = document(content, Built, "build/image.json", "./ship build")
    if Layout(IMAGE).digest != record.digest:
        raise Failure(f"{IMAGE} is not the image that {_BUILT} describes", "./ship build")
    return record


def tested() -> list[Passed]:
    """Return a record for each platform of the built image. Raises Failure when it has not passed on one."""
    image, found = built(), []
    for platform in image.platforms:
        again = f"./ship integration on a {platform} machine, or ./ship integration --platform {platform}"
        try:
            record = document(_tested(platform).read_bytes(), Passed, f"{_tested(platform)}", again)
        except OSError:
            record = None
        if record is None or (record.digest, record.platform) != (image.digest, platform):
            raise Failure(f"{image.digest} has not passed the integration tests on {platform}", again)
        if record.suite not in {*SUITES.values(), EMULATED} or record.counts.failed or not record.counts.passed:
            raise Failure(f"{image.digest} was tested with {record.suite}: {record.counts}", again)
        found.append(record)
    return found


def scanned() -> Scanned:
    """Return the scan of the built image. Raises Failure when it was not scanned, or did not pass."""
    digest = built().digest
    try:
        written = (BUILD / _SCANNED).read_bytes()
    except OSError as missing:
        raise Failure(f"{digest} has not been scanned", "./ship scan") from missing
    record = document(written, Scanned, f"build/{_SCANNED}", "./ship scan")
    if record.digest != digest:
        raise Failure(f"{digest} has not been scanned", "./ship scan")
    return record


def published() -> Reference:
    """Return the last published image by digest. Raises Failure when there is none."""
    try:
        data = (BUILD / _PUBLISHED).read_bytes()
    except OSError as missing:
        raise Failure("nothing has been published from here yet", "./ship") from missing
    record = document(data, Published, f"build/{_PUBLISHED}", "./ship publish")
    if not record.tags:
        raise Failure(f"build/{_PUBLISHED} names no repository", "./ship publish")
    return next(iter(record.tags)).at(record.digest)


def keep(record: Built | Passed | Scanned | Published) -> None:
    """Write `record` to its file."""
    match record:
        case Built():
            path = BUILD / _BUILT
        case Passed():
            path = _tested(record.platform)
        case Scanned():
            path = BUILD / _SCANNED
        case Published():
            path = BUILD / _PUBLISHED
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")


def forget_tests(platform: Platform) -> None:
    """Delete the test record for `platform`."""
    _tested(platform).unlink(missing_ok=True)


def forget_scan() -> None:
    """Delete the scan record."""
    (BUILD / _SCANNED).unlink(missing_ok=True)


def result(stage: str) -> Path:
    """Return the file for the one-line result of a stage."""
    return BUILD / f"{stage}.result"


def _tested(platform: Platform) -> Path:
    return BUILD / _TESTED / f"{platform.replace('/', '-')}.json"
