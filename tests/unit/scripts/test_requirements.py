from pathlib import Path

import pytest

from scripts import requirements
from tests.unit.scripts.program import Program


def test_an_index_is_trusted_as_everything_on_the_machine_trusts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a proxy with a certificate of its own, what uv brings along trusts nobody."""
    uv = Program(tmp_path / "uv")
    uv.answer({"pip": "exit 0"})
    monkeypatch.setattr(requirements, "TOOLS", tmp_path)

    requirements.compile_lock("requirements.txt", tmp_path / "requirements.txt")

    assert "--system-certs" in uv.calls[0]
