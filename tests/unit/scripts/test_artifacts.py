"""Reading and checking the files under `build/`."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from scripts import artifacts
from scripts.artifacts import Built, Counts, Passed
from scripts.errors import Failure
from scripts.grammar import Column, Digest, Name, Platform, RelativePath, Version, WorkTree

AMD64 = Platform("linux/amd64")
DIGEST = Digest(f"sha256:{1:064}")
BUILT = Built(
    digest=DIGEST,
    platforms={AMD64: DIGEST},
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


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of the record of the build; the layout beside it is that image."""
    monkeypatch.setattr(artifacts, "BUILD", tmp_path)
    monkeypatch.setattr(artifacts, "IMAGE", tmp_path / "image")
    write_layout(tmp_path / "image", DIGEST)
    return tmp_path / "image.json"


def write_layout(layout: Path, digest: str) -> None:
    layout.mkdir(exist_ok=True)
    (layout / "index.json").write_text(json.dumps({"manifests": [{"digest": digest, "size": 1}]}))


def test_a_build_is_read_as_it_was_written(record: Path) -> None:
    record.write_text(json.dumps(asdict(BUILT)))

    assert artifacts.built() == BUILT


def test_the_record_of_another_image_is_refused(record: Path) -> None:
    record.write_text(json.dumps(asdict(replace(BUILT, digest=Digest(f"sha256:{2:064}")))))

    with pytest.raises(Failure, match=r"is not the image that image\.json describes"):
        artifacts.built()


@pytest.mark.parametrize(
    "changed",
    [
        {"digest": "sha256:1"},
        {"platforms": {"linux": DIGEST}},
        {"version": "$(touch pwned)"},
        {"revision": "--upload-pack=touch pwned"},
        {"pipeline": "HEAD"},
        {"model_format": "pickle"},
        {"name": "../x"},
        {"data": "../x"},
        {"target": "\x1b[2J"},
        {"size": "1"},
    ],
)
def test_a_record_with_an_invalid_value_is_refused(record: Path, changed: dict[str, object]) -> None:
    record.write_text(json.dumps(asdict(BUILT) | changed))

    with pytest.raises(Failure, match=r"build/image\.json is malformed") as failed:
        artifacts.built()

    assert next(iter(changed)) in failed.value.reason
    assert failed.value.remedy == "./ship build"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_damaged_record_is_named(record: Path, content: bytes) -> None:
    record.write_bytes(content)

    with pytest.raises(Failure, match=r"build/image\.json is malformed"):
        artifacts.built()


def test_without_a_build_the_error_says_what_to_type(record: Path) -> None:
    with pytest.raises(Failure, match="nothing has been built yet"):
        artifacts.built()
    assert not record.exists()


PASSED = Passed(DIGEST, AMD64, "tests/integration", Counts(7, 0, 1))


def write_passed(record: Path, text: str) -> None:
    record.write_text(json.dumps(asdict(BUILT)))
    (record.parent / "tested").mkdir()
    (record.parent / "tested/linux-amd64.json").write_text(text)


def test_a_test_result_of_this_image_counts(record: Path) -> None:
    write_passed(record, json.dumps(asdict(PASSED)))

    assert artifacts.tested() == [PASSED]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"digest": Digest(f"sha256:{2:064}")}, "has not passed the integration tests on linux/amd64"),
        ({"platform": Platform("linux/arm64")}, "has not passed the integration tests on linux/amd64"),
        ({"suite": "tests/unit"}, "was tested with tests/unit"),
        ({"counts": Counts(7, 1)}, "7 passed, 1 failed"),
        ({"counts": Counts(0, 0, 8)}, "0 passed, 0 failed, 8 skipped"),
    ],
)
def test_a_test_result_of_another_image_does_not_count(record: Path, changed: dict[str, object], reason: str) -> None:
    write_passed(record, json.dumps(asdict(PASSED) | {k: v if not isinstance(v, Counts) else asdict(v)
                                                                  for k, v in changed.items()}))  # fmt: skip

    with pytest.raises(Failure, match=reason):
        artifacts.tested()


@pytest.mark.parametrize("text", ["", "{", '{"digest": "sha256:x"}', "[]"])
def test_a_damaged_test_result_is_named(record: Path, text: str) -> None:
    write_passed(record, text)

    with pytest.raises(Failure, match=r"linux-amd64\.json is malformed"):
        artifacts.tested()
