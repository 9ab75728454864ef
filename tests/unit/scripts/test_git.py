"""Reading Git repositories."""

import os
import subprocess
from pathlib import Path

import pytest

from scripts import git
from scripts.errors import Failure
from tests.unit.scripts.repository import Repository


def run(root: Path, *arguments: str, stdin: bytes = b"") -> str:
    author = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    done = subprocess.run(["git", *author, *arguments], cwd=root, check=True, capture_output=True, input=stdin)
    return done.stdout.decode().strip()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with one commit of unusual files."""
    root = tmp_path / "repository"
    (root / "folder").mkdir(parents=True)
    (root / "plain").write_bytes(b"one\r\ntwo\n\xff\0")
    (root / "folder/program").write_text("#!/bin/sh\n")
    (root / "folder/program").chmod(0o755)
    (root / "-rf").write_text("an option")
    (root / "a\nb\tc\u2028d").write_text("lines")
    (root / "link").symlink_to("folder/program")
    (root / "empty").touch()
    (root / ".gitattributes").write_text("plain export-ignore\nempty export-subst\n")
    run(root, "init", "--quiet", "--initial-branch=main")
    run(root, "add", "--all")
    run(root, "commit", "--quiet", "--message", "first")
    return root


def files(folder: Path) -> dict[str, bytes]:
    found = [path for path in folder.rglob("*") if path.is_symlink() or path.is_file()]
    return {
        path.relative_to(folder).as_posix(): bytes(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in found
        if ".git" not in path.parts
    }


def test_an_export_equals_the_commit_byte_for_byte(root: Path, tmp_path: Path) -> None:
    git.export("HEAD", tmp_path / "export", root=root)

    assert files(tmp_path / "export") == files(root)
    assert (tmp_path / "export/folder/program").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "export/plain").stat().st_mode & 0o777 == 0o644


def test_an_export_ignores_the_work_tree(root: Path, tmp_path: Path) -> None:
    """Neither ignored files, nor changes that Git skips, nor earlier content."""
    (root / ".git/info").mkdir(exist_ok=True)
    (root / ".git/info/exclude").write_text("ignored\n")
    (root / ".git/info/attributes").write_text("* text eol=crlf\n")
    (root / "ignored").write_text("forged")
    run(root, "update-index", "--assume-unchanged", "plain")
    (root / "plain").write_text("forged")
    (tmp_path / "export").mkdir()
    (tmp_path / "export/stale").write_text("forged")
    git.export("HEAD", tmp_path / "export", root=root)

    assert not {name for name, content in files(tmp_path / "export").items() if content == b"forged"}
    assert (tmp_path / "export/plain").read_bytes() == b"one\r\ntwo\n\xff\0"


def test_an_export_of_some_paths_has_only_these(root: Path, tmp_path: Path) -> None:
    git.export("HEAD", tmp_path / "export", ["-rf", "folder/program", "nowhere"], root=root)

    assert set(files(tmp_path / "export")) == {"-rf", "folder/program"}


@pytest.mark.parametrize(
    ("mode", "content", "reason"),
    [
        ("100644", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "in Git LFS"),
        ("160000", b"", "is a submodule"),
    ],
)
def test_a_file_that_the_commit_does_not_hold_is_refused(
    root: Path, tmp_path: Path, mode: str, content: bytes, reason: str
) -> None:
    name = (
        run(root, "rev-parse", "HEAD") if mode == "160000" else run(root, "hash-object", "-w", "--stdin", stdin=content)
    )
    run(root, "update-index", "--add", "--cacheinfo", f"{mode},{name},data.csv")
    run(root, "commit", "--quiet", "--message", "second")

    with pytest.raises(Failure, match=f"data.csv is.*{reason.removeprefix('is ')}"):
        git.export("HEAD", tmp_path / "export", root=root)


def test_a_file_outside_the_folder_is_refused(root: Path, tmp_path: Path) -> None:
    """Git checks out no such file, but a commit made by hand can have one."""
    blob = run(root, "hash-object", "-w", "--stdin", stdin=b"forged")
    inner = run(root, "mktree", stdin=f"100644 blob {blob}\tpwned\n".encode())
    tree = b"40000 ..\0" + bytes.fromhex(inner)
    outer = run(root, "hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=tree)
    commit = run(root, "commit-tree", outer, "-m", "forged")

    with pytest.raises(Failure, match="outside its folder"):
        git.export(commit, tmp_path / "export", root=root)
    assert not (tmp_path / "pwned").exists()


def test_contents_come_in_the_requested_order(root: Path) -> None:
    asked = ["HEAD:plain", "HEAD:nowhere", "HEAD:folder", "HEAD:empty", "HEAD:-rf"]

    assert git.contents(asked, root=root) == [b"one\r\ntwo\n\xff\0", None, None, b"", b"an option"]


def test_a_revision_cannot_be_an_option(root: Path, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="git ls-tree"):
        git.tree(f"--output={tmp_path}/pwned", root=root)


def test_outside_a_repository_the_error_is_from_git(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="not a git repository") as failed:
        git.data("status", root=tmp_path)

    assert failed.value.remedy


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the owner of a folder")
def test_a_checkout_of_another_user_is_refused_in_the_words_of_git(root: Path) -> None:
    os.chown(root, 12345, 12345)

    with pytest.raises(Failure, match="detected dubious ownership") as failed:
        git.line("log", "-1", root=root)

    assert failed.value.remedy == f"git config --global --add safe.directory {root}"


@pytest.fixture
def other(tmp_path: Path, repository: Repository) -> Repository:
    """A second repository, with another history."""
    other = Repository(tmp_path / "other")
    other.path.mkdir()
    other.start()
    other.record("test", "1.0.0")
    assert other.head != repository.head
    return other


@pytest.mark.parametrize(
    ("variable", "of_other"),
    [
        ("GIT_DIR", ".git"),
        ("GIT_WORK_TREE", "."),
        ("GIT_INDEX_FILE", ".git/index"),
        ("GIT_OBJECT_DIRECTORY", ".git/objects"),
    ],
)
def test_the_variables_of_a_hook_do_not_select_another_repository(
    repository: Repository, other: Repository, variable: str, of_other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, status = repository.record("prod", "1.2.0"), repository.git("status", "--porcelain")
    monkeypatch.setenv(variable, str(other.path / of_other))

    assert git.line("rev-parse", "HEAD", root=repository.path) == head
    assert git.line("status", "--porcelain", root=repository.path) == status
    assert git.contents([f"{head}:deploy/environments/dev.env"], root=repository.path) != [None]


def test_a_setting_in_the_environment_is_kept(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workflows use one to mark a checkout as safe."""
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.name")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "Zoë")

    assert git.line("config", "user.name", root=repository.path) == "Zoë"


def test_git_replace_has_no_effect(repository: Repository) -> None:
    true = repository.record("test", "1.0.0")
    false = repository.record("test", "1.1.0")
    before = git.contents([f"{true}:deploy/environments/test.env"], root=repository.path)
    repository.git("replace", true, false)

    assert git.contents([f"{true}:deploy/environments/test.env"], root=repository.path) == before


def test_git_answers_in_english(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error about a checkout of another user is recognized by its text."""
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    repository.git("config", "alias.locale", '!printf %s "$LC_ALL"')

    assert git.line("locale", root=repository.path) == "C"


def test_a_link_instead_of_a_folder_is_refused(root: Path, tmp_path: Path) -> None:
    """Such a commit is made by hand and has both under one name."""
    blob = run(root, "hash-object", "-w", "--stdin", stdin=b"forged")
    link = run(root, "hash-object", "-w", "--stdin", stdin=str(tmp_path).encode())
    inner = run(root, "mktree", stdin=f"100644 blob {blob}\tpwned\n".encode())
    outer = run(root, "mktree", stdin=f"120000 blob {link}\ta\n040000 tree {inner}\ta\n".encode())
    commit = run(root, "commit-tree", outer, "-m", "forged")

    with pytest.raises(Failure, match="a link instead of a folder"):
        git.export(commit, tmp_path / "export", root=root)
    assert not (tmp_path / "pwned").exists()
