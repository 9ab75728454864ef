"""image/base.sh, run on a small base image that is made here."""

import os
import re
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "image" / "base.sh"
[KEPT, DEBIAN_PYTHON] = (words.split() for words in re.findall(r'^\w+="([^"]+)"', SCRIPT.read_text(), re.MULTILINE)[:2])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A base image with Python in /usr/local and packages that own one file each."""
    root = tmp_path / "root"
    (root / "var/lib/dpkg/info").mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    (root / "etc/ssl/certs").mkdir(parents=True)
    (root / "usr/local/bin").mkdir(parents=True)
    (root / "usr/local/bin/python3.13").write_text("#!/bin/sh\n")
    (root / "usr/local/bin/python3.13").chmod(0o755)
    for package in KEPT:
        install(root, package)
    return root


def install(root: Path, package: str) -> None:
    with (root / "var/lib/dpkg/status").open("a") as status:
        status.write(f"Package: {package}\nStatus: install ok installed\nVersion: 1.0\n\n")
    (root / f"var/lib/dpkg/info/{package}.list").write_text(f"/.\n/usr\n/usr/{package}\n")
    (root / f"var/lib/dpkg/info/{package}.md5sums").touch()
    (root / "usr" / package).touch()


def pruned(root: Path) -> "subprocess.CompletedProcess[str]":
    layer = root.parent / "layer"
    layer.mkdir()
    environment = {**os.environ, "FILE_TIME": "@315532800"}
    return subprocess.run(["sh", SCRIPT, root], cwd=layer, env=environment, check=False, capture_output=True, text=True)


def recorded(root: Path) -> list[str]:
    status = (root.parent / "layer/var/lib/dpkg/status").read_text()
    return re.findall(r"^Package: (.*)$", status, re.MULTILINE)


def test_an_unlisted_package_is_removed_and_named(root: Path) -> None:
    install(root, "telnetd")
    install(root, "libc")  # begins like a kept package
    install(root, "telnetd.conf")  # and one whose name begins like another

    done = pruned(root)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["left out: telnetd", "left out: libc", "left out: telnetd.conf"]
    assert recorded(root) == KEPT
    left = {path.name for path in root.parent.joinpath("layer").rglob("*") if path.is_file()}
    assert left >= {"libc6", "libc6.list", "python3.13"}
    assert not [name for name in left if re.match(r"telnetd|libc(\.|$)", name)]


@pytest.mark.parametrize("missing", ["ca-certificates", "libssl3t64"])
def test_a_missing_package_stops_the_build(root: Path, missing: str) -> None:
    status = root / "var/lib/dpkg/status"
    status.write_text(status.read_text().replace(f"Package: {missing}\n", "Package: other\n"))

    done = pruned(root)

    assert done.returncode == 1
    assert done.stderr == f"the base image has no package {missing}, which image/base.sh keeps\n"


def test_without_python_in_usr_local_that_of_debian_is_used(root: Path) -> None:
    (root / "usr/local/bin/python3.13").unlink()

    assert f"no package {DEBIAN_PYTHON[0]}, which" in pruned(root).stderr


def test_the_python_of_debian_stays_if_it_is_the_only_one(root: Path) -> None:
    (root / "usr/local/bin/python3.13").unlink()
    for package in DEBIAN_PYTHON:
        install(root, package)

    done = pruned(root)

    assert (done.returncode, done.stdout) == (0, "")
    assert recorded(root) == KEPT + DEBIAN_PYTHON


def test_unused_files_are_removed(root: Path) -> None:
    library = root / "usr/local/lib/python3.13"
    gone = [
        "config-3.13-x86_64-linux-gnu/libpython3.13.a", "test/test_os.py", "ensurepip/__init__.py",
        "lib-dynload/_testcapi.cpython-313-x86_64-linux-gnu.so", "__pycache__/os.cpython-39.pyc",
    ]  # fmt: skip
    for name in [*gone, "lib-dynload/_json.cpython-313-x86_64-linux-gnu.so"]:
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / name).touch()

    assert pruned(root).returncode == 0

    layer = root.parent / "layer/usr/local/lib/python3.13"
    assert [path.name for path in layer.rglob("*") if path.is_file()] == ["_json.cpython-313-x86_64-linux-gnu.so"]


def test_every_file_has_the_same_time(root: Path) -> None:
    assert pruned(root).returncode == 0

    assert {path.lstat().st_mtime for path in root.parent.joinpath("layer").rglob("*")} == {315532800}


def test_files_of_a_kept_package_stay(root: Path) -> None:
    """A link in one package can be a folder in another."""
    (root / "lib").symlink_to("usr")
    with (root / "var/lib/dpkg/info/base-files.list").open("a") as owned:
        owned.write("/lib\n")
    install(root, "telnetd")
    with (root / "var/lib/dpkg/info/telnetd.list").open("a") as listed:
        listed.write("/lib\n/usr/libc6\n")

    assert pruned(root).returncode == 0

    assert (root.parent / "layer/lib").is_symlink()
    assert (root.parent / "layer/usr/libc6").exists()


def test_a_package_with_an_architecture_is_removed_with_its_links(root: Path) -> None:
    install(root, "telnetd")
    info = root / "var/lib/dpkg/info"
    (info / "telnetd.list").rename(info / "telnetd:amd64.list")
    (info / "telnetd.md5sums").rename(info / "telnetd:amd64.md5sums")
    (info / "telnetd:amd64.postinst").touch()
    (root / "usr/folder").mkdir()
    (root / "usr/alias").symlink_to("folder")
    with (info / "telnetd:amd64.list").open("a") as listed:
        listed.write("/usr/folder\n/usr/alias\n")

    assert pruned(root).returncode == 0

    layer = root.parent / "layer"
    assert not list(layer.glob("var/lib/dpkg/info/telnetd*"))
    assert [(layer / "usr" / name).is_symlink() for name in ("alias", "telnetd")] == [False, False]
    assert (layer / "usr/folder").is_dir()


def test_certificates_stay_as_one_bundle(root: Path) -> None:
    certificates = root / "etc/ssl/certs"
    (certificates / "ca-certificates.crt").write_text("all of them")
    (certificates / "one.pem").symlink_to("/usr/share/ca-certificates/one.crt")

    assert pruned(root).returncode == 0

    assert [path.name for path in (root.parent / "layer/etc/ssl/certs").iterdir()] == ["ca-certificates.crt"]
