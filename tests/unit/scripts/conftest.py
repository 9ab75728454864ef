import os
from pathlib import Path

import hypothesis
import pytest

from scripts import console, variables
from scripts.environments import record
from tests.unit.scripts.fake_cosign import FakeCosign
from tests.unit.scripts.repository import Repository

# By default a few cases, always the same; at night thousands of new ones: FUZZ_CASES=10000 ./ship unit
CASES = int(os.environ.get("FUZZ_CASES", "25"))
hypothesis.settings.register_profile(
    "cases", max_examples=CASES, derandomize="FUZZ_CASES" not in os.environ, deadline=None, database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)  # fmt: skip
hypothesis.settings.load_profile("cases")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository with empty records, which the code under test uses."""
    monkeypatch.setattr(record, "ROOT", tmp_path / "repository")
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "ada@example.org")
        monkeypatch.setenv(f"GIT_{role}_DATE", "2026-01-02T03:04:05Z")
    repository = Repository(tmp_path / "repository")
    repository.path.mkdir()
    repository.start()
    return repository


@pytest.fixture(autouse=True)
def git(monkeypatch: pytest.MonkeyPatch) -> None:
    """Git with its defaults, without settings of the user or variables of a hook."""
    for variable in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture(autouse=True)
def example(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test ships the example, whatever model the environment names."""
    for variable in variables.SHIPMENT:
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test writes where its user keeps keys and settings."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.getbasetemp() / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


@pytest.fixture(autouse=True)
def away_from_github(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test runs on GitHub, wherever it runs, unless it says so itself."""
    for variable in [name for name in os.environ if name.startswith("GITHUB_")]:
        monkeypatch.delenv(variable)


@pytest.fixture(autouse=True)
def log(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is printed is as in a log, whatever the terminal is like that the tests are started from."""
    monkeypatch.setattr(console.console, "width", 160)
    # rich looks for a terminal once, and pytest may import this before it captures what is printed.
    monkeypatch.setattr(console.console, "_color_system", None)


@pytest.fixture
def fake_cosign(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> FakeCosign:
    """The only program called cosign."""
    programs = tmp_path_factory.mktemp("programs")
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    return FakeCosign(tmp_path_factory.mktemp("fake") / "cosign").install(programs)
