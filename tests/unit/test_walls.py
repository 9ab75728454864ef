"""Which room may import what, read from the source, so that no import can hide."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("app", "training", "scripts", "tests")

# For each folder, the modules of other rooms that it may import.
ALLOWED: dict[str, tuple[str, ...]] = {
    "app": (),
    "training": ("app.model",),
    "scripts": (),
    "tests/integration": (),
    "tests/unit/app": ("app",),
    "tests/unit/training": ("training", "app.model"),
    "tests/unit/scripts": ("scripts", "tests.unit.scripts"),
}

# By others, or run inside an image: not part of the pipeline.
FOREIGN = ("scripts/bench/peers", "scripts/bench/programs")

# For each room of the pipeline, the others that it imports: exactly the arrows of docs/architecture.md. A module
# at the top is a room of its own; `scripts` stands for `scripts/__init__.py`.
ARROWS: dict[str, set[str]] = {
    "__main__": {
        "artifacts", "check", "completion", "console", "environments", "errors", "github", "grammar", "oci", "pipeline",
        "scripts", "stages", "variables",
    },
    "stages": {
        "artifacts", "bench", "check", "checkout", "console", "environments", "errors", "evidence", "git", "github",
        "grammar", "host", "model", "mutation", "oci", "process", "requirements", "sbom", "scripts", "shipment",
        "suite", "vulnerabilities",
    },
    "bench": {"artifacts", "console", "errors", "host", "page", "process", "scripts"},
    "evidence": {
        "artifacts", "checkout", "console", "errors", "git", "grammar", "host", "oci", "process", "shipment"
    },
    "host": {"console", "errors", "git", "grammar", "process", "scripts", "shipment"},
    "pipeline": {"artifacts", "checkout", "console", "errors", "grammar", "process", "scripts"},
    "github": {"check", "checkout", "console", "errors", "grammar", "process"},
    "model": {"errors", "grammar", "process", "scripts", "shipment"},
    "shipment": {"checkout", "errors", "git", "grammar", "oci", "scripts"},
    "suite": {"artifacts", "errors", "process", "scripts"},
    "artifacts": {"errors", "grammar", "oci", "scripts"},
    "checkout": {"git", "grammar", "scripts"},
    "environments": {"console", "errors", "git", "grammar", "oci", "process", "scripts"},
    "mutation": {"console", "errors", "git", "page", "process", "scripts"},
    "sbom": {"errors", "grammar", "oci"},
    "oci": {"console", "errors", "grammar", "process", "scripts"},
    "git": {"errors", "process", "scripts"},
    "requirements": {"process"},
    "process": {"console", "errors", "scripts"},
    "vulnerabilities": {"errors", "grammar", "scripts"},
    "console": {"errors"},
    "grammar": {"errors"},
    "page": {"errors"},
    "progress": {"console"},
    "variables": {"errors"},
    "check": set(),
    "completion": set(),
    "errors": set(),
    "scripts": set(),
}  # fmt: skip


def imports(file: Path) -> Iterator[str]:
    """Yield the full name of everything that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def inside(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def python_files(folder: str) -> list[Path]:
    foreign = [ROOT / place for place in FOREIGN]
    return [file for file in (ROOT / folder).rglob("*.py") if not any(map(file.is_relative_to, foreign))]


def room(module: str) -> str:
    """Return the room of a pipeline module: `oci` for `scripts.oci.layout`."""
    return module.split(".")[1] if "." in module else "scripts"


def arrows() -> Iterator[tuple[str, str]]:
    """Yield each import within the pipeline: the importing module and the imported one."""
    files = {".".join(file.relative_to(ROOT).with_suffix("").parts): file for file in python_files("scripts")}
    modules = {name.removesuffix(".__init__"): file for name, file in files.items()}
    for module, file in modules.items():
        for name in imports(file):
            if inside(name, "scripts"):
                yield module, name if name in modules else name.rpartition(".")[0]


@pytest.mark.parametrize("folder", ALLOWED)
def test_a_room_imports_only_allowed_modules(folder: str) -> None:
    own = folder.partition("/")[0]
    allowed = (*ALLOWED[folder], *([own] if own != "tests" else ["tests.integration"]))
    for file in python_files(folder):
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
def test_a_library_of_the_service_has_one_place(library: str, places: list[str]) -> None:
    found = {
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / "app").rglob("*.py")
        if any(inside(name, library) for name in imports(file))
    }

    assert found <= set(places)


def test_the_trainer_knows_no_web_framework() -> None:
    for file in (ROOT / "training").rglob("*.py"):
        assert not any(inside(name, "flask") or inside(name, "gunicorn") for name in imports(file)), file


def test_heavy_libraries_are_imported_inside_functions() -> None:
    """Each model format pays only for its own libraries."""
    predictor = ast.parse((ROOT / "app/model/predictor.py").read_bytes())
    top = [ast.unparse(node) for node in predictor.body if isinstance(node, ast.Import | ast.ImportFrom)]

    assert not any(library in line for line in top for library in ("sklearn", "joblib", "onnxruntime"))


def test_importing_the_contract_needs_no_web_framework() -> None:
    assert (ROOT / "app/__init__.py").read_bytes() == b""
    for file in (ROOT / "app/model").rglob("*.py"):
        assert not any(inside(name, "flask") or inside(name, "werkzeug") for name in imports(file)), file


def test_the_rooms_of_the_pipeline_have_exactly_the_drawn_imports() -> None:
    found: dict[str, set[str]] = {name: set() for name in ("check", "completion", "errors", "scripts")}
    for module, imported in arrows():
        if room(imported) != room(module):
            found.setdefault(room(module), set()).add(room(imported))

    assert found == ARROWS


def test_imports_between_rooms_have_no_cycle() -> None:
    rest = dict(ARROWS)
    while lowest := [name for name, below in rest.items() if not below & rest.keys()]:
        for name in lowest:
            del rest[name]

    assert rest == {}


def test_no_stage_imports_another() -> None:
    between = [(one, other) for one, other in arrows() if {room(one), room(other)} == {"stages"}]

    assert between == []
