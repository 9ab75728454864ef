"""Pins: every image in the Dockerfile has a digest, and Dependabot watches each."""

import re

import pytest

from scripts import ROOT
from scripts.host import engine, images
from scripts.stages.lint import unpinned

DIGEST = "sha256:" + "7c" * 32


def test_the_dockerfile_is_pinned() -> None:
    assert unpinned((ROOT / "Dockerfile").read_text()) == []


def test_dependabot_watches_exactly_the_base_images() -> None:
    watched = re.findall(r"^FROM (\S+)$", (ROOT / ".github/pins/Dockerfile").read_text(), re.MULTILINE)

    assert sorted(watched) == sorted([images.PYTHON.pinned, images.REGISTRY.pinned, engine.BUILDKIT])


@pytest.mark.parametrize(
    "dockerfile",
    [
        f"FROM python:3.13@{DIGEST}",
        f"ARG BASE=python:3.13@{DIGEST}\nFROM --platform=$BUILDPLATFORM ${{BASE}} AS base\nFROM base AS next",
        "FROM scratch AS empty\nCOPY --from=empty / /",
        f"FROM scratch\nCOPY --from=busybox@{DIGEST} / /",
        "FROM scratch AS empty\nRUN --mount=type=bind,from=empty,target=/empty true",
    ],
)
def test_digests_stages_and_scratch_are_allowed(dockerfile: str) -> None:
    assert unpinned(dockerfile) == []


@pytest.mark.parametrize(
    ("dockerfile", "finding"),
    [
        ("FROM python:3.13", "Dockerfile:1 python:3.13 "),
        ("FROM python", "Dockerfile:1 python "),
        ("ARG BASE=python:3.13\nFROM $BASE", "Dockerfile:2 python:3.13 "),
        ("ARG BASE\nFROM ${BASE}", "Dockerfile:2 ${BASE} "),
        ("FROM scratch\nCOPY --from=busybox:1 / /", "Dockerfile:2 busybox:1 "),
        ("FROM scratch\nRUN --mount=type=bind,from=busybox,target=/b true", "Dockerfile:2 busybox "),
        ("from --platform=linux/amd64 python:3.13 as base", "Dockerfile:1 python:3.13 "),
    ],
)
def test_an_unpinned_name_is_found_with_its_line(dockerfile: str, finding: str) -> None:
    [found] = unpinned(dockerfile)

    assert found.startswith(finding)
