"""What the stages hand to each other: the files under `build/`, their types, and what must be true of them.

A stage writes its own and reads those of the stages before it, here alone. Each file names the digest that it is about,
so that nothing of another image is taken for evidence.
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
# What a release on GitHub shows and carries.
NOTES = BUILD / "release" / "notes.md"
RELEASED_SBOM = BUILD / "release" / "sbom.cdx.json"
PROVENANCE = BUILD / "release" / "provenance.intoto.jsonl"

_BUILT, _TESTED, _SCANNED, _PUBLISHED = "image.json", "tested", "scan.json", "published.json"

# The integration tests, by what `./ship integration --only` calls them.
SUITES = {"all": "tests/integration", "image": "tests/integration/image"}
# What is asked of an image under emulation: what it predicts. How long it takes, how it stops and what it needs say
# something about QEMU there, not about the image.
EMULATED = "tests/integration/image/test_predict.py"


@dataclass(frozen=True)
class Built:
    """What was built: `build/image.json`, about the image in `build/image/`."""

    digest: Digest
    platforms: dict[Platform, Digest]
    size: int
    """Compressed bytes of all layers."""
    version: Version
    revision: WorkTree
    model_format: Literal["onnx", "joblib"]
    base: str
    """The base image: by digest where it was pulled, by local name and image id where it was made."""
    pipeline: WorkTree
    """The commit of this checkout, whose code made the image: `revision`, unless the table is another repository's."""
    name: Name
    data: RelativePath
    target: Column
    """What the model is called, and its table and target: see `scripts.shipment`."""


@dataclass(frozen=True)
class Counts:
    """How the tests of a suite ended."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __str__(self) -> str:
        if not (self.passed or self.failed or self.skipped):
            return "no test ran"
        return f"{self.passed} passed, {self.failed} failed" + (f", {self.skipped} skipped" if self.skipped else "")


@dataclass(frozen=True)
class Passed:
    """That a digest passed a suite on one platform: `build/tested/OS-ARCHITECTURE.json`."""

    digest: Digest
    platform: Platform
    suite: str
    counts: Counts


@dataclass(frozen=True)
class Scanned:
    """That nothing in the image stops its release, as far as that was checked: `build/scan.json`."""

    digest: Digest
    outcome: Literal["clean", "not checked"]
    source: Url
    at: str
    """When it was asked, RFC 3339, UTC."""
    checked: int
    """Components of the bill of materials that advisories were asked for."""
    findings: list[dict[str, Any]]
    """Vulnerabilities that do not stop a release, each with the reason why."""
    allowed: list[dict[str, Any]]
    """Vulnerabilities that would, and the exception that was granted."""


@dataclass(frozen=True)
class Published:
    """What was published from here last: `build/published.json`."""

    version: Version
    digest: Digest
    tags: dict[Repository, list[Tag]]


def built() -> Built:
    """Return what was built last. Raises Failure when nothing was, or when the layout is another image."""
    try:
        content = (BUILD / _BUILT).read_bytes()
    except OSError as missing:
        raise Failure("nothing is built yet", "./ship build") from missing
    record = document(content, Built, "build/image.json", "./ship build")
    if Layout(IMAGE).digest != record.digest:
        raise Failure(f"{IMAGE} is not the image that {_BUILT} describes", "./ship build")
    return record


def tested() -> list[Passed]:
    """Return a record for each platform of the built image. Raises Failure when this digest did not pass on one."""
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
    """Return the record of the built image. Raises Failure when that one was not scanned, or not let through."""
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
    """Return, by digest, what was published from here last. Raises Failure when nothing was."""
    try:
        data = (BUILD / _PUBLISHED).read_bytes()
    except OSError as missing:
        raise Failure("nothing was published from here yet", "./ship") from missing
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
    """Take away that anything was tested on `platform`."""
    _tested(platform).unlink(missing_ok=True)


def forget_scan() -> None:
    """Take away that anything was scanned."""
    (BUILD / _SCANNED).unlink(missing_ok=True)


def result(stage: str) -> Path:
    """Return where a stage writes how it ended, in a phrase."""
    return BUILD / f"{stage}.result"


def _tested(platform: Platform) -> Path:
    return BUILD / _TESTED / f"{platform.replace('/', '-')}.json"
