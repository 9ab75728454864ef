"""`./ship integration` with arguments: which tests of pytest's, and that they are no evidence."""

from dataclasses import replace
from pathlib import Path

import pytest

from scripts import artifacts, suite
from scripts.artifacts import EMULATED, SUITES, Built, Counts, Passed
from scripts.errors import Failure
from scripts.grammar import Column, Digest, Name, Platform, RelativePath, Version, WorkTree
from scripts.host import engine, images
from scripts.stages import integration

AMD64, ARM64 = Platform("linux/amd64"), Platform("linux/arm64")
DIGEST = Digest(f"sha256:{1:064}")
IMAGE = Built(
    digest=DIGEST,
    platforms={AMD64: DIGEST, ARM64: DIGEST},
    size=1,
    version=Version("1.0.0"),
    revision=WorkTree("a" * 40),
    model_format="onnx",
    base="python@sha256:3",
    pipeline=WorkTree("a" * 40),
    name=Name("house-price"),
    data=RelativePath("training/data/houses.csv"),
    target=Column("price"),
)
TEST = """
import os

def test_wrong():
    assert os.environ["IMAGE_PLATFORM"] == ""
"""


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine that runs both platforms, an image that was built, and a checkout with one test, which fails."""
    monkeypatch.setattr(integration, "built", lambda: IMAGE)
    monkeypatch.setattr(engine, "platform", lambda: AMD64)
    monkeypatch.setattr(engine, "runnable_platforms", lambda: [AMD64, ARM64])
    monkeypatch.setattr(images, "reference", lambda _kind: "image:1")
    monkeypatch.setattr(artifacts, "BUILD", tmp_path / "build")
    monkeypatch.setattr(suite, "ROOT", tmp_path)
    folder = tmp_path / "tests/integration/image"
    folder.mkdir(parents=True)
    (folder / "test_wrong.py").write_text(TEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:schemathesis -p no:hypothesispytest -p no:anyio\n")
    return tmp_path


def test_what_was_tested_before_still_counts(machine: Path, capfd: pytest.CaptureFixture[str]) -> None:
    artifacts.keep(Passed(DIGEST, AMD64, SUITES["all"], Counts(passed=200)))
    [record] = (machine / "build/tested").iterdir()
    before = record.read_bytes()

    assert integration.integration_of(["-k", "wrong"]) == 1

    assert "assert 'linux/amd64' == ''" in capfd.readouterr().out
    assert record.read_bytes() == before
    assert list((machine / "build").rglob("*.*")) == [record]


@pytest.mark.parametrize(
    ("only", "platform", "folder"),
    [
        ("all", None, "tests/integration"),
        ("image", AMD64, "tests/integration/image"),
        ("nightly", None, "tests/integration/nightly"),
        ("all", ARM64, EMULATED),
    ],
)
def test_the_options_choose_the_tests_where_no_path_does(
    only: str, platform: Platform | None, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integration, "run_selected", lambda place, *_: 0 if place == folder else 1)

    assert integration.integration_of(["-x"], only=only, platform=platform) == 0


def test_an_image_of_other_files_is_said(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integration, "run_selected", lambda *_: 0)
    integration.integration_of(["-x"])

    assert f"the image is of {'a' * 40}, and the work tree is " in capfd.readouterr().out


def test_an_image_that_is_not_for_the_platform_is_refused_as_without_arguments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(integration, "built", lambda: replace(IMAGE, platforms={AMD64: DIGEST}))

    with pytest.raises(Failure, match="the image is for linux/amd64, and linux/arm64 is to be tested"):
        integration.integration_of(["-x"], platform=ARM64)
