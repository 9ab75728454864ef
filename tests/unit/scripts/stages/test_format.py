"""`./ship format`: ruff itself, on a small checkout."""

from pathlib import Path

import pytest

from scripts import PYTHON
from scripts.errors import Failure
from scripts.stages import format as stage


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in PYTHON:
        (tmp_path / folder).mkdir()
    (tmp_path / "ruff.toml").write_text('lint.select = ["F", "I"]\n')
    monkeypatch.setattr(stage, "ROOT", tmp_path)
    return tmp_path


def test_python_is_written_as_ruff_does_and_what_is_safe_to_mend_is_mended(checkout: Path) -> None:
    (checkout / "app/one.py").write_text("import sys, os\nprint( os )\n")

    assert stage.format_code() == "Fixed 2 errors, 1 file reformatted"

    assert (checkout / "app/one.py").read_text() == "import os\n\nprint(os)\n"


def test_what_is_right_stays_as_it_is(checkout: Path) -> None:
    (checkout / "app/one.py").write_text("answer = 42\n")

    assert stage.format_code() == "1 file left unchanged"


def test_what_is_no_python_is_named(checkout: Path) -> None:
    (checkout / "app/one.py").write_text("def\n")

    with pytest.raises(Failure, match=r"app/one\.py"):
        stage.format_code()
