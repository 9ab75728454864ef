"""The variables of `./ship` and their former names."""

import os
import platform
import re

import pytest

from scripts import ROOT, variables
from scripts.errors import Failure


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("SHIP_") or name in {"NAME", "SOURCE", "DATA", "TARGET"}:
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SOURCE", "SHIP_SOURCE"),
        ("DATA", "SHIP_TABLE"),
        ("TARGET", "SHIP_TARGET"),
        ("NAME", "SHIP_NAME"),
        ("REGISTRIES", "SHIP_REGISTRIES"),
        ("PYTHON_IMAGE", "SHIP_PYTHON_IMAGE"),
        ("REGISTRY_IMAGE", "SHIP_REGISTRY_IMAGE"),
        ("BUILDKIT_IMAGE", "SHIP_BUILDKIT_IMAGE"),
        ("OSV_API", "SHIP_OSV_API"),
        ("SCAN_UNCHECKED", "SHIP_SCAN_UNCHECKED"),
    ],
)
def test_a_former_name_is_refused_with_the_new_one(monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> None:
    monkeypatch.setenv(old, "anything")

    with pytest.raises(Failure, match=f"^{old} is set") as refused:
        variables.check()
    assert refused.value.remedy == f"unset {old} and set {new} instead"


@pytest.mark.parametrize(
    ("name", "value"),
    [("VERSION", "1.0.0"), ("DIGEST", "x"), ("NAME", platform.node()), ("REGISTRIES", ""), ("SHIP_XYZ", "")],
)
def test_variables_of_other_programs_and_empty_ones_are_ignored(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    variables.check()


@pytest.mark.parametrize(
    ("name", "remedy"), [("SHIP_REGISTRY", "SHIP_REGISTRIES?"), ("SHIP_XYZ", "./ship --help lists them")]
)
def test_an_unknown_variable_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, remedy: str) -> None:
    monkeypatch.setenv(name, "anything")

    with pytest.raises(Failure, match=f"^{name} is set, but nothing reads it") as refused:
        variables.check()
    assert refused.value.remedy == remedy


def test_the_listed_variables_are_those_that_are_read() -> None:
    sources = [path for path in (ROOT / "scripts").rglob("*.py") if path.name != "variables.py"]
    text = "".join(path.read_text("utf-8") for path in sources) + (ROOT / "ship").read_text("utf-8")
    read = set(re.findall(r"\bSHIP_[A-Z_]+[A-Z]\b", text))
    families = {f"SHIP_{field.upper()}" for field in ("name", "version", "table", "target")}
    families |= {f"SHIP_API_KEY_{environment}" for environment in ("DEV", "TEST", "PROD")}

    assert read | families == set(variables.MEANINGS) | ({"SHIP_API_KEY"} & read)
