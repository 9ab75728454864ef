from __future__ import annotations

import gc
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.model import Card, Format
from training import houses
from training.__main__ import main

DESCRIPTION = Path(houses.__file__).parent / "data/houses.toml"


def pytest_configure() -> None:
    """Collect no garbage while 3,000 tests are collected, none of which is any: a fifth of that time."""
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small table of houses with its description and the default gate: the committed gate needs 10,000 rows."""
    path = tmp_path_factory.mktemp("table") / "houses.csv"
    path.write_text(houses.generate(rows=600), encoding="utf-8")
    path.with_suffix(".toml").write_text(DESCRIPTION.read_text(encoding="utf-8").partition("[gate]")[0], "utf-8")
    return path


def _trained(table: Path, out: Path, form: Format) -> Path:
    arguments = ["--data", str(table), "--target", "price", "--out", str(out), "--format", form]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return out


@pytest.fixture(scope="session")
def onnx_dir(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _trained(table, tmp_path_factory.mktemp("onnx") / "model", "onnx")


@pytest.fixture(scope="session")
def joblib_dir(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _trained(table, tmp_path_factory.mktemp("joblib") / "model", "joblib")


@pytest.fixture(scope="session")
def card(onnx_dir: Path) -> Card:
    return Card.read(onnx_dir / "card.json")
