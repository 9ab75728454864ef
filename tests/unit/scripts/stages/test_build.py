"""The inputs of `./ship build`."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts import artifacts, shipment
from scripts import git as git_of_the_pipeline
from scripts.checkout import commit as checked_out
from scripts.grammar import ImageReference, Platform
from scripts.host import engine, images
from scripts.stages import build
from tests.unit.scripts.oci.test_packing import manifest


def git(root: Path, *arguments: str) -> None:
    author = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    subprocess.run(["git", *author, *arguments], cwd=root, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a version, a table and a Dockerfile, and its build folder."""
    root = tmp_path / "shipshape"
    (root / "training/data").mkdir(parents=True)
    (root / "app").mkdir()
    (root / "ship.toml").write_text('version = "1.0.0"\n')
    (root / "training/data/houses.csv").write_text("area,price\n80,100\n")
    (root / "app/service.py").write_text("answer = 42\n")
    (root / ".gitignore").write_text("build/\n")
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "first")
    for module in ("stages.build", "checkout"):
        monkeypatch.setattr(f"scripts.{module}.ROOT", root)
    monkeypatch.setattr(build, "BUILD", root / "build")
    return root


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("hidden", ["excluded", "globally ignored", "untracked are not shown", "assumed unchanged"])
def test_uncommitted_files_do_not_enter_the_image(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hidden: str
) -> None:
    """Whatever Git was told to ignore."""
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

    context = build._context(checked_out())

    if hidden == "untracked are not shown":
        assert context == checkout  # Git reports this one, so the image is labelled as dirty
        return
    assert context == checkout / "build/context"
    assert names(context) == [".gitignore", "app/service.py", "ship.toml", "training/data/houses.csv"]
    assert (context / "app/service.py").read_text() == "answer = 42\n"


@pytest.fixture
def builds(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commit of each build that was really made, by a builder that gives every commit an image of its own."""
    made: list[str] = []

    def bake(*_command: str, env: dict[str, str], **_: object) -> None:
        made.append(env["REVISION"])
        layout = Path(env["DESTINATION"])
        top = manifest(layout, version=env["REVISION"])
        (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
        (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    for reader in (git_of_the_pipeline, shipment):
        monkeypatch.setattr(reader, "ROOT", checkout)
    for room in (build, artifacts):
        monkeypatch.setattr(room, "BUILD", checkout / "build")
        monkeypatch.setattr(room, "IMAGE", checkout / "build/image")
    monkeypatch.setattr(engine, "platform", lambda: Platform("linux/amd64"))
    monkeypatch.setattr(engine, "builder", lambda: "default")
    monkeypatch.setattr(images, "python_image", lambda _context: images.PYTHON)
    monkeypatch.setattr(images, "reference", lambda _image: ImageReference(f"python@sha256:{1:064}"))
    monkeypatch.setattr(images, "missing_platforms", lambda _image, _platforms: [])
    monkeypatch.setattr(build, "run", bake)
    monkeypatch.setenv("DOCKER_CONFIG", str(checkout / "build/docker"))
    (checkout / "ship.toml").write_text(
        'name = "house-price"\nversion = "1.0.0"\ntable = "training/data/houses.csv"\ntarget = "price"\n'
    )
    git(checkout, "commit", "--quiet", "--all", "--message", "what is shipped")
    return made


def test_an_image_that_is_there_is_not_built_again(builds: list[str]) -> None:
    first = build.build()
    second = build.build()

    assert len(builds) == 1
    assert second == f"nothing changed: {first}"


def commit(checkout: Path) -> None:
    (checkout / "app/service.py").write_text("answer = 43\n")
    git(checkout, "commit", "--quiet", "--all", "--message", "second")


def leave_uncommitted(checkout: Path) -> None:
    (checkout / "app/service.py").write_text("answer = 43\n")


def damage(checkout: Path) -> None:
    largest = max((checkout / "build/image/blobs/sha256").iterdir(), key=lambda blob: blob.stat().st_size)
    largest.write_bytes(b"x")


def change_the_base(_checkout: Path) -> None:
    before = images.reference
    images.reference = lambda image: ImageReference(f"{before(image)[:-1]}2")  # the fixture puts it back


@pytest.mark.parametrize("change", [commit, leave_uncommitted, damage, change_the_base])
def test_after_a_change_it_is_built_again(checkout: Path, builds: list[str], change: Callable[[Path], None]) -> None:
    build.build()
    change(checkout)
    build.build()

    assert len(builds) == 2


def test_another_format_and_a_build_without_a_cache_are_built(builds: list[str]) -> None:
    build.build()
    build.build(model_format="joblib")
    build.build(model_format="joblib", cache=False)

    assert len(builds) == 3


def test_what_is_uncommitted_is_built_each_time(checkout: Path, builds: list[str]) -> None:
    """The record says that files differ, and not how."""
    for answer in (43, 44):
        (checkout / "app/service.py").write_text(f"answer = {answer}\n")
        build.build()

    assert len(builds) == 2


def test_a_commit_made_during_a_build_is_not_what_was_built(
    checkout: Path, builds: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bake = vars(build)["run"]

    def bake_slowly(*command: str, **options: Any) -> None:
        bake(*command, **options)
        commit(checkout)

    monkeypatch.setattr(build, "run", bake_slowly)
    build.build()

    record = artifacts.built()
    assert [record.revision, record.pipeline] == builds * 2
