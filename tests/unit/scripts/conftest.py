import pytest


@pytest.fixture(autouse=True)
def example(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test begins with the example, whatever model this `./ship unit` was typed for."""
    for variable in ("SOURCE", "DATA", "TARGET", "NAME", "VERSION"):
        monkeypatch.delenv(variable, raising=False)
