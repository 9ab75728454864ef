"""Base images that are made on this machine, with small scripts in place of Docker and mmdebstrap."""

from pathlib import Path

import pytest

from scripts.host import debian, images
from tests.unit.scripts.program import Program


def test_another_platform_is_built_from_the_dockerfile_of_the_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker = Program(tmp_path / "bin" / "docker")
    docker.answer(
        {
            "image": "exit 0",
            "create": "exit 1",
            "version": "echo linux/amd64",
            "buildx": f'[ "$2" = build ] && for last; do :; done && /bin/cp "$last/Dockerfile" {tmp_path}',
            "tag": "exit 0",
        }
    )
    Program(tmp_path / "bin" / "mmdebstrap").answer({})
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv(images.REGISTRY.variable, raising=False)
    monkeypatch.setattr(debian, "download_packages", lambda *_: None)

    assert images.provide(images.REGISTRY, ["linux/arm64"], reachable=False) == images.REGISTRY.local
    assert "ARG NATIVE" in (tmp_path / "Dockerfile").read_text()
    assert ["tag", f"{images.REGISTRY.local}-new", images.REGISTRY.local] in docker.calls
