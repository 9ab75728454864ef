"""`./ship mutate` on a project of one module, with real mutants and real tests that notice some of them."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from scripts import ROOT, git
from scripts.errors import Failure
from scripts.mutation import mutmut, survivors
from scripts.mutation.mutant import Mutant, Outcome
from scripts.page import END

SOURCE = """\
class Lift:
    def __init__(self, height):
        self.height = height

    def fits(self, person):
        return person <= self.height

    def refuse(self):
        raise ValueError("too tall", self.height)
"""
TEST = """\
from rooms.lift import Lift

def test_who_is_smaller_fits():
    assert Lift(2).fits(1)
    assert not Lift(2).fits(3)
    try:
        Lift(2).refuse()
    except ValueError:
        pass
"""
SETTINGS = """\
[tool.shipshape.mutate]
paths = ["rooms"]
apart_from = ["rooms/hall.py"]
without = ["tests/unit/test_slow.py"]
words = ['^\\s*raise ValueError']

[tool.pytest.ini_options]
addopts = ["-p", "no:schemathesis", "-p", "no:hypothesispytest", "-p", "no:anyio"]
"""
AT_THE_EDGE = Mutant("rooms/lift.py", "Lift.fits", "return person <= self.height", "return person < self.height", 6)
REASON = """
[[survivor]]
file = "rooms/lift.py"
function = "Lift.fits"
was = "return person <= self.height"
becomes = "return person < self.height"
reason = "nobody is that tall"
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one module, whose boundary no test checks."""
    root = tmp_path / "project"
    files = {
        "rooms/__init__.py": "",
        "rooms/lift.py": SOURCE,
        "rooms/hall.py": "def width():\n    return 3\n",
        "rooms/sizes.txt": "2",
        "tests/unit/test_lift.py": TEST,
        "tests/unit/test_slow.py": "def test_that_is_not_run():\n    assert False\n",
        "pyproject.toml": SETTINGS,
        ".gitignore": "/build/\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "first"]):
        subprocess.run(["git", *identity, *command], cwd=root, check=True, env={**os.environ, "GIT_CONFIG_GLOBAL": ""})
    monkeypatch.setattr(git, "ROOT", root)
    for name, place in {
        "ROOT": root,
        "BUILD": root / "build",
        "FOLDER": root / "build/mutate",
        "MUTANTS": root / "build/mutate/mutants",
        "PAGE": root / "page.md",
    }.items():
        monkeypatch.setattr(mutmut, name, place)
    monkeypatch.setattr(survivors.read, "__defaults__", (root / "surviving-mutants.toml",))
    return root


def status(root: Path) -> str:
    return subprocess.run(
        ["git", "status", "--porcelain", "--ignored"], cwd=root, check=True, capture_output=True, text=True
    ).stdout


def test_a_survivor_without_a_reason_fails_and_is_printed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "page.md").write_text(f"Words.\n{mutmut.BEGIN}\nold\n{END}\n")
    before = status(project)

    with pytest.raises(Failure, match=r"1 of 2 mutants killed \(50\.0 %\), 1 survive, 1 of them without a reason"):
        mutmut.mutate(write=True)

    printed = capsys.readouterr().out
    for line in str(AT_THE_EDGE).splitlines():
        assert line in printed
    assert (project / "page.md").read_text() == (
        f"Words.\n{mutmut.BEGIN}\n\n1 of 2 mutants killed (50.0 %), 1 survive.\n\n"
        "| where | was | becomes | why it may live |\n| --- | --- | --- | --- |\n"
        "| `rooms/lift.py` `Lift.fits` | `return person <= self.height` | `return person < self.height` "
        f"| **no reason yet** |\n\n{END}\n"
    )
    assert not (project / "build/mutate").exists()
    assert status(project) == before


def test_a_survivor_with_a_reason_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "surviving-mutants.toml"
    path.write_text(f"{REASON}{REASON.replace('<= self.height', '<= self.length')}")

    score = mutmut.judge(Outcome(10, 10, 9), [AT_THE_EDGE], survivors.read(path))

    assert score == "9 of 10 mutants killed (90.0 %), 1 survive: docs/testing.md"
    assert "'return person <= self.length' in rooms/lift.py, Lift.fits, is not needed" in capsys.readouterr().out


def test_one_reason_can_cover_every_change_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "surviving-mutants.toml"
    path.write_text(REASON.replace('becomes = "return person < self.height"\n', ""))
    alive = [AT_THE_EDGE, replace(AT_THE_EDGE, becomes="return None")]

    assert mutmut.judge(Outcome(20, 20, 18), alive, survivors.read(path)).startswith("18 of 20")
    assert "| 2 other lines | nobody is that tall |" in survivors.text(Outcome(20, 20, 18), alive, survivors.read(path))


def test_a_low_score_fails_whatever_the_reasons(tmp_path: Path) -> None:
    path = tmp_path / "surviving-mutants.toml"
    path.write_text(REASON)

    with pytest.raises(Failure, match=r"89\.9 %.* but 90 % must be killed"):
        mutmut.judge(Outcome(1000, 1000, 899), [AT_THE_EDGE], survivors.read(path))


def test_unit_tests_must_pass_without_mutants(project: Path) -> None:
    (project / "tests/unit/test_lift.py").write_text(TEST.replace("fits(3)", "fits(1)"))

    with pytest.raises(Failure, match="the unit tests fail without any mutant"):
        mutmut.mutate()

    assert not (project / "build/mutate").exists()


@pytest.mark.usefixtures("project")
def test_a_path_outside_the_scope_is_refused() -> None:
    scope = mutmut.Scope(paths=["rooms"], apart_from=["rooms/hall.py"], without=[])

    assert (
        mutmut.choose_files(scope, "") == mutmut.choose_files(scope, "rooms") == ["rooms/__init__.py", "rooms/lift.py"]
    )
    assert mutmut.choose_files(scope, "rooms/lift.py") == ["rooms/lift.py"]
    for path in ("tests", "rooms/hall.py"):
        with pytest.raises(Failure, match=f"no code at {path} is mutated"):
            mutmut.choose_files(scope, path)
    with pytest.raises(Failure, match=r"names rooms/wall\.py, but there is no Python file"):
        mutmut.choose_files(mutmut.Scope(paths=["rooms", "rooms/wall.py"], apart_from=[], without=[]), "")


def test_a_malformed_scope_is_named(project: Path) -> None:
    (project / "pyproject.toml").write_text('[tool.shipshape.mutate]\npath = ["rooms"]\n')

    with pytest.raises(Failure, match=r"\[tool\.shipshape\.mutate\]: .*path"):
        mutmut.mutate()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (REASON + REASON, "occurs twice"),
        (REASON.replace('"nobody is that tall"', '" "'), "reason"),
        (REASON.replace("becomes", "begets"), "begets"),
        ("[[survivor", "surviving-mutants.toml"),
    ],
)
def test_a_malformed_list_of_reasons_is_refused(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "surviving-mutants.toml"
    path.write_text(text)

    with pytest.raises(Failure, match=words):
        survivors.read(path)


def test_a_reason_does_not_cover_equal_lines_of_another_function(tmp_path: Path) -> None:
    path = tmp_path / "surviving-mutants.toml"
    path.write_text(REASON)
    elsewhere = Mutant("rooms/lift.py", "Window.fits", AT_THE_EDGE.was, AT_THE_EDGE.becomes, 9)

    text = survivors.text(Outcome(40, 40, 38), [AT_THE_EDGE, elsewhere], survivors.read(path))

    assert "38 of 40 mutants killed (95.0 %), 2 survive." in text
    assert text.count("nobody is that tall") == 1
    assert f"| `rooms/lift.py` `Window.fits` | `{elsewhere.was}` | `{elsewhere.becomes}` | **no reason yet** |" in text


def test_the_page_lists_every_survivor_with_a_reason() -> None:
    page = (ROOT / "docs/testing.md").read_text()

    for entry in survivors.read():
        assert f"| {entry.reason} |" in page, f"./ship mutate --write: {entry}"
