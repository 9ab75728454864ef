"""The inputs of `./ship build`."""

import subprocess
from pathlib import Path

import pytest

from scripts.stages import build


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

    context = build._context()

    if hidden == "untracked are not shown":
        assert context == checkout  # Git reports this one, so the image is labelled as dirty
        return
    assert context == checkout / "build/context"
    assert names(context) == [".gitignore", "app/service.py", "ship.toml", "training/data/houses.csv"]
    assert (context / "app/service.py").read_text() == "answer = 42\n"
