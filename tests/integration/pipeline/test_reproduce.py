"""`./ship reproduce`: anyone can rebuild the image, bit for bit, from its commit, and sees what was changed."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.checkout import Checkout, build, clone
from tests.integration.container import native_platform
from tests.integration.program import run
from tests.integration.registry import Registry, push, relabelled

REPOSITORY = "reproduce/house-price"
CHANGED = "app/health.py"
# As root, or as root of a user namespace where the kernel grants one.
UNSHARE = ("unshare", "--uts") if os.geteuid() == 0 else ("unshare", "--uts", "--map-root-user")
AS_ELSEWHERE = 'umask 002; uname -n; exec "$0" "$@"'
# What would change the image, if it came through.
HOSTILE = {
    "VERSION": "9.9.9",
    "REVISION": "0" * 40,
    "CREATED": "2000-01-01T00:00:00Z",
    "SOURCE_DATE_EPOCH": "1",
    "MODEL_FORMAT": "joblib",
    "CA_BUNDLE": "/nowhere",
    "DESTINATION": "/nowhere",
    "PYTHONPATH": "/nowhere",
    "PYTHONOPTIMIZE": "2",
}


@pytest.fixture(scope="module")
def registries(built_checkout: Checkout, registry: Registry, second_registry: Registry) -> str:
    """SHIP_REGISTRIES: two with the built image under its version."""
    places = [f"{place.host}/{REPOSITORY}" for place in (registry, second_registry)]
    for place in places:
        push(built_checkout.layout, f"{place}:{built_checkout.image['version']}")
    return " ".join(places)


@pytest.fixture
def other(built_checkout: Checkout, tmp_path: Path) -> Checkout:
    """Somebody else's clone."""
    return clone(built_checkout, tmp_path / "elsewhere" / "shipshape")


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A folder for temporary files."""
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


def change_one_letter(project: Checkout) -> None:
    file = project.path / CHANGED
    before = file.read_bytes()
    after = re.sub(rb"[a-z]", lambda letter: letter[0].upper(), before, count=1)  # in its docstring
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 1
    file.write_bytes(after)


def commit(project: Checkout) -> None:
    author = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    run("git", *author, "commit", "--quiet", "--all", "--message", "later", cwd=project.path)


def on_another_host(project: Checkout, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run `./ship ARGUMENTS` with another umask and, if permitted, another host name."""
    renamed = ["sh", "-c", 'hostname elsewhere; exec "$0" "$@"']
    allowed = subprocess.run([*UNSHARE, "hostname", "elsewhere"], check=False, capture_output=True).returncode == 0
    return subprocess.run(
        [
            *([*UNSHARE, *renamed] if allowed else []),
            "sh",
            "-c",
            AS_ELSEWHERE,
            sys.executable,
            "-m",
            "scripts",
            *arguments,
        ],
        cwd=project.path,
        env={**os.environ, **environment},
        check=False,
        capture_output=True,
        text=True,
    )


def test_another_clone_on_another_host_builds_the_published_digest(
    built_checkout: Checkout, built: dict[str, Any], other: Checkout, registries: str, scratch: Path
) -> None:
    version, digest = built_checkout.image["version"], built_checkout.image["digest"]

    leaking = {**HOSTILE, "GIT_DIR": str(other.path / ".git"), "TMPDIR": str(scratch)}  # as in a Git hook
    done = on_another_host(other, "reproduce", version, SHIP_REGISTRIES=registries, **leaking)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[0] in {"elsewhere", os.uname().nodename}
    assert done.stdout.splitlines()[-1].endswith(
        f"is {digest}, and so is what {built_checkout.image['revision']} builds"
    )
    assert list(scratch.iterdir()) == []
    if built["revision"] == built_checkout.image["revision"]:  # nothing was uncommitted when ./ship build ran
        assert built["platforms"][native_platform()] == digest


def test_a_commit_that_changes_one_byte_is_reported_with_the_file(
    built_checkout: Checkout, other: Checkout, registries: str
) -> None:
    change_one_letter(other)
    commit(other)

    done = other.ship("reproduce", built_checkout.image["version"], "--commit", "HEAD", SHIP_REGISTRIES=registries)

    size = (other.path / CHANGED).stat().st_size
    changed = f"opt/service/{CHANGED}: content ({size} → {size} bytes), and its .pyc"
    revision = run("git", "rev-parse", "HEAD", cwd=other.path)
    assert done.returncode == 1
    assert f"{built_checkout.image['version']} is not what {revision[:12]} builds: {changed}" in done.stdout
    platforms = len(built_checkout.image["platforms"])
    assert re.findall(r", layer (\d) of 4: COPY", done.stdout) == ["4"] * platforms, "no other layer differs"
    assert [line.strip() for line in done.stdout.splitlines() if "opt/service" in line][:-1] == [changed] * platforms
    assert f'environment IMAGE_REVISION: "{built_checkout.image["revision"]}" → "{revision}"' in done.stdout


def test_files_that_git_ignores_are_not_in_the_image(built_checkout: Checkout, other: Checkout) -> None:
    """With personal ignore settings, or files that Git skips, the commit is built all the same."""
    exclude = other.path / ".git/info/exclude"
    exclude.parent.mkdir(exist_ok=True)
    exclude.write_text("app/forged.py\n")
    (other.path / "app/forged.py").write_text("forged = True\n")
    change_one_letter(other)
    run("git", "update-index", "--assume-unchanged", CHANGED, cwd=other.path)

    assert build(other).image["digest"] == built_checkout.image["digest"]


def test_an_image_that_hides_a_change_behind_a_clean_commit_is_noticed(
    built_checkout: Checkout, other: Checkout, registry: Registry
) -> None:
    """Made by a pipeline that builds the work tree but labels it with the commit."""
    change_one_letter(other)
    pipeline, honest = other.path / "scripts/stages/build.py", "git.export(at.revision, context, root=ROOT)"
    assert honest in pipeline.read_text()
    pipeline.write_text(pipeline.read_text().replace(honest, "return ROOT"))
    run("git", "update-index", "--assume-unchanged", CHANGED, "scripts/stages/build.py", cwd=other.path)
    forged = build(other)
    assert forged.image["revision"] == built_checkout.image["revision"]
    assert forged.image["digest"] != built_checkout.image["digest"]
    reference = f"{registry.host}/{REPOSITORY}:forged"
    push(forged.layout, reference)

    done = built_checkout.ship("reproduce", reference)

    assert done.returncode == 1
    assert f"{reference} is not what {forged.image['revision'][:12]} builds: opt/service/{CHANGED}" in done.stdout
    assert "configuration" not in done.stdout, "the labels are those of the honest image"
    assert f"./ship verify {reference}" in done.stdout


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("com.shipshape.pipeline.revision", "--upload-pack=touch pwned;true"),
        ("org.opencontainers.image.revision", "--upload-pack=touch pwned;true"),
        ("org.opencontainers.image.revision", "$(touch pwned)"),
        ("com.shipshape.model.format", "onnx --set=*.output=pwned"),
    ],
)
def test_a_label_that_is_a_command_is_refused_and_not_run(
    built_checkout: Checkout, registry: Registry, tmp_path: Path, label: str, value: str
) -> None:
    layout = relabelled(built_checkout.layout, tmp_path / "layout", {label: value})
    push(layout, f"{registry.host}/{REPOSITORY}:hostile")

    done = built_checkout.ship("reproduce", f"{registry.host}/{REPOSITORY}:hostile")

    assert done.returncode == 1
    assert f"label {label}" in done.stdout
    assert "building with" not in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert not [*built_checkout.path.rglob("pwned"), *tmp_path.rglob("pwned")]


def test_an_interrupted_rebuild_leaves_nothing(other: Checkout, registries: str, scratch: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "scripts", "reproduce"],
        cwd=other.path,
        env={**os.environ, "SHIP_REGISTRIES": registries, "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as stage:
        deadline = time.monotonic() + 60
        while not list(scratch.glob("*/checkout/build")):
            assert time.monotonic() < deadline
            assert stage.poll() is None
            time.sleep(0.05)
        stage.send_signal(signal.SIGINT)
        stage.communicate(timeout=60)

    assert stage.returncode == 130
    assert list(scratch.iterdir()) == []
    assert not [process for process in Path("/proc").glob("[0-9]*/cwd") if str(scratch) in _target(process)], (
        "a process goes on in the removed checkout"
    )


def test_an_image_that_one_registry_lacks_is_not_compared(
    built_checkout: Checkout, registry: Registry, second_registry: Registry
) -> None:
    places = [f"{place.host}/apart/house-price" for place in (registry, second_registry)]
    push(built_checkout.layout, f"{places[0]}:1.0.0")

    done = built_checkout.ship("reproduce", "1.0.0", SHIP_REGISTRIES=" ".join(places))

    assert done.returncode == 1
    assert f"not found: {places[1]}:1.0.0" in done.stdout


def test_an_unpublished_image_is_not_found(built_checkout: Checkout, registries: str) -> None:
    for unknown in ("9.9.9", "sha-" + "0" * 40, "sha256:" + "0" * 64):
        done = built_checkout.ship("reproduce", unknown, SHIP_REGISTRIES=registries)

        assert done.returncode == 1
        assert "not found: localhost:" in done.stdout
        assert unknown in done.stdout


def test_a_commit_that_is_not_in_this_clone_says_how_to_get_it(
    built_checkout: Checkout, other: Checkout, registries: str
) -> None:
    shutil.rmtree(other.path / ".git")
    run("git", "init", "--quiet", cwd=other.path)
    run("git", "add", "--all", cwd=other.path)
    commit(other)

    done = other.ship("reproduce", str(built_checkout.image["digest"]), SHIP_REGISTRIES=registries)

    assert done.returncode == 1
    assert f"the commit '{built_checkout.image['revision']}' is not in {other.path}" in done.stdout
    assert "git fetch" in done.stdout


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""
