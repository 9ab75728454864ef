"""Two platforms in one index: trained once, built without emulation, with nothing of each other."""

import gzip
import hashlib
import io
import json
import re
import tarfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from tests.integration.checkout import Checkout, build, clone
from tests.integration.container import EMULATED_START_SECONDS, native_platform, runnable_platforms
from tests.integration.registry import Registry, pulled
from tests.integration.service import started_service

PLATFORMS = ["linux/amd64", "linux/arm64"]
# By architecture: what it is called in an ELF header (e_machine), in wheels and by the linker.
MACHINES = {"amd64": (62, "x86_64"), "arm64": (183, "aarch64")}
GOLDEN_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Both:
    """The image for both platforms, and the output of its build."""

    project: Checkout
    log: str

    @cached_property
    def index(self) -> dict[str, Any]:
        return self.blob(self.project.image["digest"])

    def blob(self, digest: str) -> dict[str, Any]:
        return dict(json.loads(self.raw(digest)))

    def raw(self, digest: str) -> bytes:
        return (self.project.layout / "blobs" / digest.replace(":", "/")).read_bytes()

    def layers(self, platform: str) -> list[str]:
        """Return the digests of the layers: base, packages, model and code."""
        manifest = self.blob(self.project.image["platforms"][platform])
        return [layer["digest"] for layer in manifest["layers"]]

    def files(self, platform: str) -> dict[str, bytes]:
        """Return the content of every regular file, by its path without the leading slash."""
        found = {}
        for layer in self.layers(platform):
            with tarfile.open(fileobj=io.BytesIO(gzip.decompress(self.raw(layer)))) as archive:
                for entry in archive:
                    if entry.isreg() and (file := archive.extractfile(entry)):
                        found[entry.name.removeprefix("./")] = file.read()
        return found


@pytest.fixture(scope="module")
def both(built_checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Both:
    project = clone(built_checkout, tmp_path_factory.mktemp("both") / "shipshape")
    setup = project.ship("setup", "--platform", ",".join(PLATFORMS))
    if "needs mmdebstrap and root" in setup.stdout:
        pytest.skip(f"no base image for both platforms: {setup.stdout}")
    assert setup.returncode == 0, setup.stdout + setup.stderr
    done = project.ship("build", "--platform", ",".join(reversed(PLATFORMS)))
    assert done.returncode == 0, done.stdout + done.stderr
    return Both(project, done.stdout + done.stderr)


@pytest.fixture(scope="module")
def files(both: Both) -> dict[str, dict[str, bytes]]:
    return {platform: both.files(platform) for platform in PLATFORMS}


@pytest.fixture(scope="module")
def native() -> str:
    return native_platform()


@pytest.fixture(scope="module")
def other(native: str) -> str:
    return next(platform for platform in PLATFORMS if platform != native)


def test_the_index_lists_exactly_both_platforms(both: Both) -> None:
    held = {f"{m['platform']['os']}/{m['platform']['architecture']}": m["digest"] for m in both.index["manifests"]}

    assert both.index["mediaType"] == "application/vnd.oci.image.index.v1+json"
    assert list(held) == PLATFORMS
    assert held == both.project.image["platforms"]
    assert "annotations" not in both.index


def test_the_model_is_trained_once_and_nothing_runs_for_the_other_platform(both: Both, native: str) -> None:
    steps = set(re.findall(r"\[(linux/\S+) (\S+) +(\d+/\d+)\] RUN", both.log))

    assert len([step for step in steps if step[1] == "training" and "7/7" in step[2]]) == 1
    assert {platform.partition("->")[0] for platform, _, _ in steps} == {native}
    assert {stage for platform, stage, _ in steps if "->" in platform} <= {"dependencies", "base"}


def test_both_platforms_share_the_layers_of_model_and_code(both: Both) -> None:
    first, second = (both.layers(platform) for platform in PLATFORMS)

    assert first[2:] == second[2:]
    assert len(first) == len(second) == 4
    assert not set(first[:2]) & set(second[:2])


def test_a_platform_by_itself_is_the_manifest_in_the_index(
    both: Both, built_checkout: Checkout, native: str, other: str, tmp_path: Path
) -> None:
    alone = build(clone(built_checkout, tmp_path / "alone"), "--platform", other, "--no-cache")

    assert built_checkout.image["digest"] == both.project.image["platforms"][native]
    assert alone.image["digest"] == both.project.image["platforms"][other]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_program_and_library_has_the_right_architecture(
    files: dict[str, dict[str, bytes]], platform: str
) -> None:
    machine, name = MACHINES[platform.removeprefix("linux/")]
    programs = {path: content[18] for path, content in files[platform].items() if content.startswith(b"\x7fELF")}

    assert {path: found for path, found in programs.items() if found != machine} == {}
    assert any(path.startswith("opt/packages/onnxruntime/") for path in programs)
    assert any(path.startswith("usr/") and f"{name}-linux-gnu" in path for path in programs)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_wheel_has_the_right_architecture(files: dict[str, dict[str, bytes]], platform: str) -> None:
    _, name = MACHINES[platform.removeprefix("linux/")]
    tags = [
        tag
        for path, content in files[platform].items()
        if path.startswith("opt/packages/") and path.endswith(".dist-info/WHEEL")
        for tag in re.findall(r"^Tag: (.+)$", content.decode(), re.MULTILINE)
    ]

    assert [tag for tag in tags if not tag.endswith(("-any", f"_{name}"))] == []
    assert any(tag.endswith(f"_{name}") for tag in tags)


def test_both_platforms_have_the_same_package_versions(files: dict[str, dict[str, bytes]]) -> None:
    wheels, debian = [], []
    for platform in PLATFORMS:
        found = files[platform]
        wheels.append(sorted(path for path in found if re.fullmatch(r"opt/packages/[^/]+\.dist-info/METADATA", path)))
        status = found["var/lib/dpkg/status"].decode()
        debian.append(re.findall(r"^Package: (.+)$", status, re.MULTILINE))
        architectures = set(re.findall(r"^Architecture: (.+)$", status, re.MULTILINE))
        assert architectures == {"all", platform.removeprefix("linux/")}
        assert set(re.findall(r"^Status: (.+)$", status, re.MULTILINE)) == {"install ok installed"}

    assert wheels[0] == wheels[1] != []
    assert debian[0] == debian[1]


@pytest.mark.parametrize("path", ["etc/passwd", "etc/group", "etc/ssl/certs/ca-certificates.crt", "model/card.json"])
def test_files_that_do_not_depend_on_the_architecture_are_equal(files: dict[str, dict[str, bytes]], path: str) -> None:
    first, second = (hashlib.sha256(files[platform][path]).hexdigest() for platform in PLATFORMS)

    assert first == second
    assert files[PLATFORMS[0]][path]


def test_both_platforms_give_the_golden_predictions(both: Both, registry: Registry, native: str, other: str) -> None:
    if other not in runnable_platforms():
        pytest.skip(f"this machine cannot run {other}: ./ship setup --platform {other} --emulate")
    answers, machines, cards = {}, {}, {}
    for platform in (native, other):
        digest = both.project.image["digest"]
        with (
            pulled(registry, both.project.layout, digest, platform) as reference,
            started_service(reference, platform=platform, seconds=EMULATED_START_SECONDS) as service,
        ):
            cards[platform] = service.card
            answers[platform] = service.predict([golden["features"] for golden in service.card["golden"]]).json()
            machines[platform] = service.python("import platform; print(platform.machine())")
    golden = [row["prediction"] for row in cards[other]["golden"]]

    assert machines == {platform: MACHINES[platform.removeprefix("linux/")][1] for platform in (native, other)}
    assert answers[other]["prediction"] == pytest.approx(golden, rel=GOLDEN_TOLERANCE)
    assert answers[other]["prediction"] == pytest.approx(answers[native]["prediction"], rel=1e-9)
    assert answers[other]["model"] == answers[native]["model"]
