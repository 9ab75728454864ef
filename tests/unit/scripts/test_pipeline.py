"""The order of the stages."""

import os
from types import SimpleNamespace

import pytest

from scripts import pipeline
from scripts.grammar import Platform

AMD64, ARM64 = Platform("linux/amd64"), Platform("linux/arm64")


@pytest.fixture(autouse=True)
def this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine="x86_64"))


@pytest.mark.parametrize("platforms", [[], [AMD64]])
def test_for_this_machine_nothing_is_emulated(platforms: list[Platform]) -> None:
    commands = [command for wave in pipeline.ship(platforms) for command in wave]

    assert commands[:2] == ["setup", "publish --check"]
    assert [command for command in commands if command.startswith("integration")] == ["integration --only image"]
    assert commands[-2:] == ["publish --commit-only", "release --unless-taken"]


def test_an_image_for_another_platform_is_tested_there_too() -> None:
    commands = [command for wave in pipeline.ship([AMD64, ARM64]) for command in wave]

    assert commands[0] == "setup --emulate"
    assert [command for command in commands if command.startswith("integration")] == [
        "integration --only image",
        "integration --platform linux/arm64",
    ]
