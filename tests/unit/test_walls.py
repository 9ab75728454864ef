"""The walls of the house: which room may import what. Read from the source, so that no import can hide."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("app", "training", "scripts", "tests")

# For each folder the modules of other rooms that it may import.
ALLOWED: dict[str, tuple[str, ...]] = {
    "app": (),
    "training": ("app.model",),
    "scripts": (),
    "tests/integration": (),
    "tests/unit/app": ("app",),
    "tests/unit/training": ("training", "app.model"),
    "tests/unit/scripts": ("scripts", "tests.unit.scripts"),
}


def imports(file: Path) -> Iterator[str]:
    """Give the full name of everything that a file imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def inside(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


@pytest.mark.parametrize("folder", ALLOWED)
def test_a_room_imports_only_what_it_may(folder: str) -> None:
    own = folder.partition("/")[0]
    allowed = (*ALLOWED[folder], *([own] if own != "tests" else ["tests.integration"]))
    for file in (ROOT / folder).rglob("*.py"):
        for name in imports(file):
            if any(inside(name, room) for room in ROOMS):
                assert any(inside(name, module) for module in allowed), f"{file} imports {name}"


@pytest.mark.parametrize(
    ("library", "places"),
    [
        ("pandas", []),
        ("sklearn", ["app/model/predictor.py"]),
        ("joblib", ["app/model/predictor.py"]),
        ("onnxruntime", ["app/model/predictor.py"]),
        (
            "flask",
            ["app/factory.py", "app/server.py"],
        ),
        ("click", []),
    ],
)
def test_a_library_of_the_service_is_imported_only_in_its_place(library: str, places: list[str]) -> None:
    found = {
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / "app").rglob("*.py")
        if any(inside(name, library) for name in imports(file))
    }

    assert found <= set(places)


def test_the_trainer_knows_no_web_framework() -> None:
    for file in (ROOT / "training").rglob("*.py"):
        assert not any(inside(name, "flask") or inside(name, "gunicorn") for name in imports(file)), file


def test_heavy_libraries_wait_inside_functions() -> None:
    """Each model format pays only for its own libraries."""
    predictor = ast.parse((ROOT / "app/model/predictor.py").read_bytes())
    top = [ast.unparse(node) for node in predictor.body if isinstance(node, ast.Import | ast.ImportFrom)]

    assert not any(library in line for line in top for library in ("sklearn", "joblib", "onnxruntime"))


def test_importing_the_contract_needs_no_web_framework() -> None:
    assert (ROOT / "app/__init__.py").read_bytes() == b""
    for file in (ROOT / "app/model").rglob("*.py"):
        assert not any(inside(name, "flask") or inside(name, "werkzeug") for name in imports(file)), file
