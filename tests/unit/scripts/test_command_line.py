"""The command line of `./ship`."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from scripts import ROOT, __main__

STAGES = ["setup", "lint", "unit", "build", "scan", "integration", "publish", "release", "verify", "reproduce"]
STAGES += ["promote", "rollback", "submit", "status", "up", "down", "test", "lock", "mutate", "doctor"]
STAGES += ["format", "serve", "shell", "completion"]


def ship(*arguments: str, root: Path = ROOT, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "scripts", *arguments],
        cwd=root,
        env={**os.environ, **environment},
        check=False,
        capture_output=True,
        text=True,
    )


def asked(*arguments: str) -> Result:
    """Return what the command line answers to `arguments`, without a process of its own."""
    return CliRunner().invoke(__main__.ship, arguments, prog_name="./ship")


def git(root: Path, *arguments: str) -> None:
    author = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    subprocess.run(["git", *author, *arguments], cwd=root, check=True, capture_output=True)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of the pipeline alone, with one commit, and with what Python compiled of it."""
    root = tmp_path_factory.mktemp("template") / "project"
    shutil.copytree(ROOT / "scripts", root / "scripts")
    for name in ("Dockerfile", "pyproject.toml", "ship.toml", ".gitignore"):
        shutil.copy(ROOT / name, root)
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "first")
    return root


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Path:
    """A copy of that repository, to do as one likes with."""
    return shutil.copytree(template, tmp_path / "project")


@pytest.fixture
def bare_path(tmp_path: Path) -> str:
    """A PATH with git, but without Docker or a package manager."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "git").symlink_to(str(shutil.which("git")))
    return str(folder)


def test_help_names_every_stage() -> None:
    done = ship("--help")

    assert done.returncode == 0
    assert all(f"  {stage} " in done.stdout for stage in STAGES)
    assert "SHIP_REGISTRIES" in done.stdout


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_its_own_help(stage: str) -> None:
    done = asked(stage, "--help")

    assert done.exit_code == 0
    assert f"Usage: ./ship {stage}" in done.stdout


def test_drift_sets_the_exit_status_and_only_json_is_printed(project: Path, bare_path: str) -> None:
    folder = project / "deploy" / "environments"
    folder.mkdir(parents=True)
    for environment in ("dev", "test", "prod"):
        (folder / f"{environment}.env").write_text("URL=http://127.0.0.1:1\n" if environment == "test" else "")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "environments")

    shown = ship("status", "--json", root=project, PATH=bare_path)
    checked = ship("status", "--json", "--check", root=project, PATH=bare_path)

    assert (shown.returncode, checked.returncode) == (0, 1)
    assert [row["runs"] for row in json.loads(checked.stdout)] == ["not known", "no answer", "not known"]


@pytest.mark.parametrize("words", [["promote", "1.0.0", "production"], ["promote", "1.0.0"], ["up", "production"]])
def test_an_unknown_environment_is_wrong_usage(words: list[str]) -> None:
    done = asked(*words)

    assert done.exit_code == 2
    assert "dev" in done.stderr


def test_an_unknown_stage_is_wrong_usage() -> None:
    done = ship("deploy")

    assert done.returncode == 2
    assert "deploy" in done.stderr


def test_without_docker_and_without_apt_setup_says_what_to_install(project: Path, bare_path: str) -> None:
    done = ship("setup", root=project, PATH=bare_path)

    assert done.returncode == 1
    assert "docker, dockerd, buildx, compose, skopeo" in done.stdout
    assert "https://docs.docker.com/engine/install/" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_failed_stage_ends_the_job_and_is_named_in_the_table(project: Path, bare_path: str) -> None:
    done = ship("test", root=project, PATH=bare_path)
    rows = [line.split() for line in done.stdout.splitlines()]

    assert done.returncode == 1
    assert any({"setup", "failed"} <= set(row) for row in rows)
    assert any({"integration", "waiting"} <= set(row) for row in rows)
    assert (project / "build" / "logs" / "setup.log").read_text()


def test_the_job_refuses_uncommitted_changes_at_once(project: Path) -> None:
    (project / "later.txt").write_text("")
    done = ship(root=project)

    assert done.returncode == 1
    assert "uncommitted" in done.stdout
    assert not (project / "build").exists()


def test_without_a_commit_there_is_nothing_to_build(project: Path) -> None:
    shutil.rmtree(project / ".git")
    git(project, "init", "--quiet")
    done = ship("build", root=project)

    assert done.returncode == 1
    assert "at least one commit" in done.stdout


def test_up_without_a_published_image_says_what_to_type(project: Path) -> None:
    done = ship("up", root=project)

    assert done.returncode == 1
    assert "next: ./ship" in done.stdout


@pytest.mark.parametrize("version", ["01.0.0", "\uff11.0.0"])
def test_an_invalid_version_is_not_released(project: Path, version: str) -> None:
    done = ship("release", version, root=project)

    assert done.returncode == 1
    assert "is not a version (MAJOR.MINOR.PATCH" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["localhost:5001/X:1.0.0", "--help/x:1.0.0"])
def test_an_invalid_reference_is_named(project: Path, name: str) -> None:
    done = ship("verify", "--", name, root=project)

    assert done.returncode == 1
    assert "the image: " in done.stdout
    assert "starts the registries" not in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_up_with_a_damaged_record_says_what_to_type(project: Path) -> None:
    (project / "build").mkdir()
    (project / "build" / "published.json").write_bytes(b'{"tags": {}, "digest": "\xff')
    done = ship("up", root=project)

    assert done.returncode == 1
    assert "build/published.json is malformed" in done.stdout
    assert "next: ./ship publish" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_stage_adds_its_outcome_to_the_summary_of_a_workflow(project: Path, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    ship("up", root=project, GITHUB_STEP_SUMMARY=str(summary))

    assert summary.read_text() == "**up**: failed: nothing has been published from here yet\n\n"


SLOW_TEST = """
import pathlib, signal, pytest

@pytest.fixture
def container():
    pathlib.Path("started").touch()
    yield
    pathlib.Path("cleaned").touch()

def test_it(container):
    signal.pause()
"""


def interrupted(project: Path, ending: signal.Signals, *, ignoring: signal.Signals | None = None) -> int:
    """Start a long stage that inherits an ignored signal (`ignoring`), end it, and return its exit status."""

    def begin() -> None:  # whatever the tests inherited
        for each in (signal.SIGINT, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN if each == ignoring else signal.SIG_DFL)

    (project / "tests" / "unit").mkdir(parents=True)
    (project / "tests" / "unit" / "test_slow.py").write_text(SLOW_TEST)
    command = [sys.executable, "-m", "scripts", "unit"]
    alone = {**os.environ, "PYTEST_XDIST_AUTO_NUM_WORKERS": "1"}  # there is one test
    with subprocess.Popen(command, cwd=project, env=alone, stdout=subprocess.PIPE, preexec_fn=begin) as stage:  # noqa: PLW1509
        try:
            deadline = time.monotonic() + 60
            while not (project / "started").exists():
                assert time.monotonic() < deadline
                assert stage.poll() is None
            if ignoring == signal.SIGHUP:
                assert ignoring in ignored(stage.pid)
            stage.send_signal(ending)
            stage.communicate(timeout=60)
        finally:
            stage.kill()
    return stage.returncode


def ignored(pid: int) -> set[int]:
    """Return the mask of signals that a process ignores, from /proc."""
    [mask] = re.findall(r"^SigIgn:\s*(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return {number for number in range(1, 65) if int(mask, 16) >> number - 1 & 1}


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_stage_lets_its_tests_clean_up(project: Path, ending: signal.Signals) -> None:
    assert interrupted(project, ending) == 130
    assert (project / "cleaned").exists()


def test_an_interrupt_works_in_the_background_too(project: Path) -> None:
    """A shell makes background jobs ignore Ctrl-C, and so would the programs that they start."""
    assert interrupted(project, signal.SIGTERM, ignoring=signal.SIGINT) == 130
    assert (project / "cleaned").exists()


def test_nohup_lets_a_stage_outlive_its_terminal(project: Path) -> None:
    assert interrupted(project, signal.SIGTERM, ignoring=signal.SIGHUP) == 130


@pytest.mark.parametrize("stage", ["setup", "build", "integration"])
def test_an_unsupported_platform_is_wrong_usage(stage: str) -> None:
    done = asked(stage, "--platform", "linux/s390x")

    assert done.exit_code == 2
    assert "linux/s390x" in done.stderr
    assert "linux/arm64" in done.stderr


def test_an_invalid_version_is_refused_at_once(project: Path) -> None:
    (project / "ship.toml").write_text("version = 1.0.0\n")
    git(project, "commit", "--quiet", "--all", "--message", "a version")
    done = ship(root=project)

    assert done.returncode == 1
    assert "why: ship.toml is malformed" in done.stdout
    assert "next: " in done.stdout
    assert "Traceback" not in done.stderr


def test_a_file_instead_of_the_build_folder_is_named(project: Path) -> None:
    (project / "build").write_text("")
    done = ship("test", root=project)

    assert done.returncode == 1
    assert f"{project}/build" in done.stdout
    assert "move away the file of that name" in done.stdout
    assert "Traceback" not in done.stderr


def test_without_a_git_folder_the_error_is_from_git(project: Path) -> None:
    """As in an unpacked tarball."""
    shutil.rmtree(project / ".git")
    for arguments in ([], ["status"]):
        done = ship(*arguments, root=project, GIT_CEILING_DIRECTORIES=str(project.parent))

        assert done.returncode == 1
        assert "not a git repository" in done.stdout, arguments
        assert "next: run ./ship in a clone" in done.stdout
        assert "Traceback" not in done.stderr


def test_an_ascii_terminal_is_enough(project: Path) -> None:
    done = ship("release", "v9.9.9", root=project, PYTHONIOENCODING="ascii")

    assert done.returncode == 1
    assert "? release failed" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_full_disk_behind_standard_output_is_one_sentence(project: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "scripts", "release", "v9.9.9"],
            cwd=project, check=False, stdout=full, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    assert done.returncode == 1
    assert done.stderr == "./ship: standard output: No space left on device\n"


def test_a_reader_that_leaves_early_is_no_error(project: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "scripts", "release", "v9.9.9"],
            cwd=project, check=False, stdout=closed, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    assert done.returncode == 1
    assert done.stderr == ""


def test_a_closed_standard_output_is_no_crash(project: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -m scripts release v9.9.9 >&-', sys.executable],
        cwd=project, check=False, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip

    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_the_summary_escapes_markdown(project: Path, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    done = ship("verify", "x/<img src=http://evil>[y](z)", root=project, GITHUB_STEP_SUMMARY=str(summary))

    assert done.returncode == 1
    assert "\\<img" in summary.read_text()
    assert "](z)" not in summary.read_text().replace("\\]", "")


def test_an_unwritable_summary_does_not_hide_the_reason(project: Path, tmp_path: Path) -> None:
    done = ship("release", "v9.9.9", root=project, GITHUB_STEP_SUMMARY=str(tmp_path))

    assert done.returncode == 1
    assert f"the result could not be written down: {tmp_path}: Is a directory" in done.stdout
    assert "why: v9.9.9 is to be released, and this commit is version 1.0.0" in done.stdout
