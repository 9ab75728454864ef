"""Choosing a Docker engine, with small scripts in place of Docker and skopeo."""

from pathlib import Path

import pytest

from scripts.errors import Failure
from scripts.host import engine


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH and holds skopeo."""
    monkeypatch.setenv("PATH", str(tmp_path))
    program(tmp_path / "skopeo", "")
    return tmp_path


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def docker(programs: Path, buildx: str) -> None:
    version = f"github.com/docker/buildx {buildx} 0.1"
    answers = f"""case "$1 $2" in "buildx version") echo "{version}" ;; "version "*) echo 28.5.2 ;; esac"""
    program(programs / "docker", answers)


@pytest.mark.parametrize("buildx", ["v0.13.0", "0.13.1+ds1", "v0.36.1", "v0.29.1-desktop.1", "1.0.0"])
def test_a_running_engine_is_used(programs: Path, buildx: str) -> None:
    docker(programs, buildx)

    found = engine.provide()

    assert (str(found), found.choice) == (f"28.5.2 with buildx {buildx.removeprefix('v')}", "already here")


@pytest.mark.parametrize("buildx", ["v0.12.1", "0.9.1"])
def test_an_old_buildx_is_refused(programs: Path, buildx: str) -> None:
    docker(programs, buildx)

    with pytest.raises(Failure, match=r"buildx 0\.\d+\.1 is older than 0\.13, the oldest supported release") as refused:
        engine.provide()

    assert "https://docs.docker.com/engine/install/" in refused.value.remedy


@pytest.mark.parametrize(
    ("existing", "done"),
    [
        ("", ["create", "inspect --bootstrap"]),
        ("ours", ["inspect --bootstrap"]),
        ("another", ["rm", "create", "inspect --bootstrap"]),
    ],
)
def test_a_builder_with_another_buildkit_is_replaced(
    programs: Path, existing: str, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    image = {"ours": "mirror.example/buildkit:1", "another": "moby/buildkit:0"}.get(existing, "")
    inspect = f'echo \'Driver Options: image="{image}" network="host"\'' if existing else "exit 1"
    program(
        programs / "docker",
        f"""[ "$2" = inspect ] && [ "$3" != --bootstrap ] && {{ {inspect}; exit; }}; echo "$*" >>{programs}/log""",
    )
    monkeypatch.setenv("SHIP_BUILDKIT_IMAGE", "mirror.example/buildkit:1")

    engine.provide_builder(registry_reachable=False)

    log = (programs / "log").read_text().splitlines()
    assert [
        verb for line in log for verb in ("rm", "create", "inspect --bootstrap") if f"buildx {verb}" in line
    ] == done
    assert not [line for line in log if "create" in line and "image=mirror.example/buildkit:1,network=host" not in line]
