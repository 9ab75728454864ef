"""What image/dependencies.sh asks pip for and what it leaves of it: run with a pip that copies files made here."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "image" / "dependencies.sh"
# Notes how it is called, and installs what is in the folder `wheels` beside it.
PIP = """#!/bin/sh
cd "$(dirname "$0")"
echo "$@" >calls
while [ "$1" != --target ]; do shift; done
mkdir -p "$LAYER/$2"
cp -R wheels/. "$LAYER/$2"
"""
KEPT = ("flask/__init__.py", "numpy/_core/multiarray.so", "onnxruntime/capi/session.py")


@pytest.fixture
def pip(tmp_path: Path) -> Path:
    """The folder of the only pip, with packages to install."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "pip").write_text(PIP)
    (folder / "pip").chmod(0o755)
    for name in KEPT:
        package(folder, name)
    return folder


def package(pip: Path, name: str) -> None:
    path = pip / "wheels" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("answer = 42\n" if path.suffix == ".py" else "")


def install(pip: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    layer = pip.parent / "layer"
    layer.mkdir()
    given = {"MODEL_FORMAT": "onnx", "TARGETARCH": "amd64", "FILE_TIME": "@315532800", "LAYER": str(layer)} | variables
    environment = {**os.environ, **given, "PATH": f"{pip}:{os.environ['PATH']}"}
    return subprocess.run(
        ["sh", SCRIPT, "/locks"], cwd=layer, env=environment, check=False, capture_output=True, text=True
    )


def files(pip: Path) -> set[str]:
    packages = pip.parent / "layer/opt/packages"
    return {path.relative_to(packages).as_posix() for path in packages.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("model_format", "architecture", "lock", "machine"),
    [("onnx", "amd64", "requirements.txt", "x86_64"), ("joblib", "arm64", "joblib.txt", "aarch64")],
)
def test_the_packages_of_the_model_format_are_installed_for_the_target(
    pip: Path, model_format: str, architecture: str, lock: str, machine: str
) -> None:
    done = install(pip, MODEL_FORMAT=model_format, TARGETARCH=architecture)

    assert (done.returncode, done.stderr) == (0, "")
    call = (pip / "calls").read_text().strip()
    assert call.endswith(f"-r /locks/{lock}")
    assert f"--platform manylinux_2_28_{machine} " in call


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("MODEL_FORMAT", "pickle", "MODEL_FORMAT is 'pickle'; it must be onnx or joblib"),
        ("TARGETARCH", "s390x", "no wheels for the architecture 's390x'; there are for amd64 and arm64"),
    ],
)
def test_what_there_is_nothing_for_stops_the_build(pip: Path, variable: str, value: str, reason: str) -> None:
    done = install(pip, **{variable: value})

    assert (done.returncode, done.stderr.strip()) == (2, reason)
    assert not (pip / "calls").exists()


def test_what_the_service_never_imports_is_gone(pip: Path) -> None:
    for name in (
        "bin/flask", "google/protobuf/message.py", "flask/tests/test_app.py", "numpy/_core/include/numpy/arrayobject.h",
        "numpy/_core/_umath_tests.cpython-313-x86_64-linux-gnu.so", "numpy/__init__.pyi", "onnxruntime/tools/check.py",
    ):  # fmt: skip
        package(pip, name)

    assert install(pip).returncode == 0

    assert {name for name in files(pip) if not name.endswith(".pyc")} == set(KEPT)


def test_python_files_are_compiled_and_every_file_has_the_same_time(pip: Path) -> None:
    assert install(pip).returncode == 0

    assert any(name.startswith("flask/__pycache__/__init__.") for name in files(pip))
    assert {path.lstat().st_mtime for path in (pip.parent / "layer").rglob("*")} == {315532800}
