"""What `./ship build` makes, and what the stages after it read of that."""

import json
import subprocess
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from scripts.artifacts import Built, Counts, Tested
from scripts.errors import Failure
from scripts.grammar import Column, Digest, Name, Platform, RelativePath, Version, WorkTree
from scripts.shipment import Source, source
from scripts.stages import build, integration

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


def git(root: Path, *arguments: str) -> None:
    author = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    subprocess.run(["git", *author, *arguments], cwd=root, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a version, a table and a Dockerfile, and where it is built."""
    root = tmp_path / "shipshape"
    (root / "training/data").mkdir(parents=True)
    (root / "app").mkdir()
    (root / "pyproject.toml").write_text('[project]\nversion = "1.0.0"\n')
    (root / "training/data/houses.csv").write_text("area,price\n80,100\n")
    (root / "app/service.py").write_text("answer = 42\n")
    (root / ".gitignore").write_text("build/\n")
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "first")
    for module in ("stages.build", "checkout", "shipment"):
        monkeypatch.setattr(f"scripts.{module}.ROOT", root)
    monkeypatch.setattr(build, "BUILD", root / "build")
    return root


def example() -> Source:
    return source()


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("hidden", ["excluded", "globally ignored", "untracked are not shown", "assumed unchanged"])
def test_what_is_not_committed_is_not_where_the_image_is_built(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hidden: str
) -> None:
    """However Git was made to look away."""
    (checkout / ".git/info").mkdir(exist_ok=True)
    forged = checkout / "app/forged.py"
    if hidden == "excluded":
        (checkout / ".git/info/exclude").write_text("forged.py\n")
    elif hidden == "globally ignored":
        (tmp_path / "ignored").write_text("forged.py\n")
        (tmp_path / "gitconfig").write_text(f"[core]\nexcludesFile = {tmp_path}/ignored\n")
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    elif hidden == "assumed unchanged":
        forged = checkout / "app/service.py"
        git(checkout, "update-index", "--assume-unchanged", "app/service.py")
    else:
        git(checkout, "config", "status.showUntrackedFiles", "no")
    forged.write_text("answer = 0\n")

    context = build._context(example())

    if hidden == "untracked are not shown":
        assert context == checkout  # this one can be seen, so the image says that it is of no commit
        return
    assert context == checkout / "build/context"
    assert names(context) == [".gitignore", "app/service.py", "pyproject.toml", "training/data/houses.csv"]
    assert (context / "app/service.py").read_text() == "answer = 42\n"


def test_a_version_that_git_was_told_not_to_see_is_refused(checkout: Path) -> None:
    git(checkout, "update-index", "--assume-unchanged", "pyproject.toml")
    (checkout / "pyproject.toml").write_text('[project]\nversion = "9.9.9"\n')

    with pytest.raises(Failure, match=r"says 9\.9\.9 here, and 1\.0\.0 in the commit") as failed:
        build._context(example())

    assert "--no-assume-unchanged" in failed.value.remedy


@pytest.fixture
def record(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where what was built is described; the layout beside it is that image."""
    path = checkout / "build/image.json"
    path.parent.mkdir()
    monkeypatch.setattr(build, "RECORD", path)
    monkeypatch.setattr(build, "IMAGE", checkout / "build/image")
    write_layout(checkout / "build/image", DIGEST)
    return path


def write_layout(layout: Path, digest: str) -> None:
    layout.mkdir(exist_ok=True)
    (layout / "index.json").write_text(json.dumps({"manifests": [{"digest": digest, "size": 1}]}))


def test_what_was_built_is_read_as_it_was_written(record: Path) -> None:
    record.write_text(json.dumps(asdict(BUILT)))

    assert build.built() == BUILT


def test_the_record_of_another_image_is_refused(record: Path) -> None:
    record.write_text(json.dumps(asdict(replace(BUILT, digest=Digest(f"sha256:{2:064}")))))

    with pytest.raises(Failure, match=r"is not the image that image\.json describes"):
        build.built()


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
def test_a_record_with_a_value_that_none_can_have_is_refused(record: Path, changed: dict[str, object]) -> None:
    record.write_text(json.dumps(asdict(BUILT) | changed))

    with pytest.raises(Failure, match=r"build/image\.json is not what it should be") as failed:
        build.built()

    assert next(iter(changed)) in failed.value.reason
    assert failed.value.remedy == "./ship build"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_damaged_record_is_named(record: Path, content: bytes) -> None:
    record.write_bytes(content)

    with pytest.raises(Failure, match=r"build/image\.json is not what it should be"):
        build.built()


def test_nothing_built_says_what_to_type(record: Path) -> None:
    with pytest.raises(Failure, match="nothing is built yet"):
        build.built()
    assert not record.exists()


PASSED = Tested(DIGEST, AMD64, "tests/integration", Counts(7, 0, 1))


def write_passed(record: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    record.write_text(json.dumps(asdict(BUILT)))
    monkeypatch.setattr(integration, "RECORDS", record.parent / "tested")
    (record.parent / "tested").mkdir()
    (record.parent / "tested/linux-amd64.json").write_text(text)


def test_a_test_result_of_this_image_counts(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_passed(record, monkeypatch, json.dumps(asdict(PASSED)))

    assert integration.tested() == [PASSED]


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
def test_a_test_result_that_shows_nothing_of_this_image_does_not_count(
    record: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, object], reason: str
) -> None:
    write_passed(record, monkeypatch, json.dumps(asdict(PASSED) | {k: v if not isinstance(v, Counts) else asdict(v)
                                                                  for k, v in changed.items()}))  # fmt: skip

    with pytest.raises(Failure, match=reason):
        integration.tested()


@pytest.mark.parametrize("text", ["", "{", '{"digest": "sha256:x"}', "[]"])
def test_a_damaged_test_result_is_named(record: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    write_passed(record, monkeypatch, text)

    with pytest.raises(Failure, match=r"linux-amd64\.json is not what it should be"):
        integration.tested()
