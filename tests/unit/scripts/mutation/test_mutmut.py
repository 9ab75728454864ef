"""`./ship mutate`, on a project of one module: real mutants, and real tests that notice some of them."""

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
class Door:
    def __init__(self, height):
        self.height = height

    def fits(self, person):
        return person <= self.height

    def refuse(self):
        raise ValueError("too tall", self.height)
"""
TEST = """\
from rooms.door import Door

def test_who_is_smaller_fits():
    assert Door(2).fits(1)
    assert not Door(2).fits(3)
    try:
        Door(2).refuse()
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
AT_THE_EDGE = Mutant("rooms/door.py", "Door.fits", "return person <= self.height", "return person < self.height", 6)
REASON = """
[[survivor]]
file = "rooms/door.py"
function = "Door.fits"
was = "return person <= self.height"
becomes = "return person < self.height"
reason = "nobody is that tall"
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a door, whose edge no test looks at."""
    root = tmp_path / "project"
    files = {
        "rooms/__init__.py": "",
        "rooms/door.py": SOURCE,
        "rooms/hall.py": "def width():\n    return 3\n",
        "rooms/sizes.txt": "2",
        "tests/unit/test_door.py": TEST,
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


def test_a_survivor_without_a_reason_fails_and_is_shown(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "page.md").write_text(f"Words.\n{mutmut.BEGIN}\nold\n{END}\n")
    before = status(project)

    with pytest.raises(Failure, match=r"1 of 2 mutants killed \(50\.0 %\), 1 survive, 1 of them without a reason"):
        mutmut.mutate(write=True)

    said = capsys.readouterr().out
    for line in str(AT_THE_EDGE).splitlines():
        assert line in said
    assert (project / "page.md").read_text() == (
        f"Words.\n{mutmut.BEGIN}\n\n1 of 2 mutants killed (50.0 %), 1 survive.\n\n"
        "| where | was | becomes | why it may live |\n| --- | --- | --- | --- |\n"
        "| `rooms/door.py` `Door.fits` | `return person <= self.height` | `return person < self.height` "
        f"| **no reason yet** |\n\n{END}\n"
    )
    assert not (project / "build/mutate").exists()
    assert status(project) == before


def test_a_survivor_with_a_reason_may_live(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "surviving-mutants.toml"
    path.write_text(f"{REASON}{REASON.replace('<= self.height', '<= self.length')}")

    said = mutmut.judged(Outcome(10, 10, 9), [AT_THE_EDGE], survivors.read(path))

    assert said == "9 of 10 mutants killed (90.0 %), 1 survive: docs/testing.md"
    assert "'return person <= self.length' in rooms/door.py, Door.fits, covers nothing" in capsys.readouterr().out


def test_one_reason_may_do_for_every_change_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "surviving-mutants.toml"
    path.write_text(REASON.replace('becomes = "return person < self.height"\n', ""))
    alive = [AT_THE_EDGE, replace(AT_THE_EDGE, becomes="return None")]

    assert mutmut.judged(Outcome(20, 20, 18), alive, survivors.read(path)).startswith("18 of 20")
    assert "| 2 other lines | nobody is that tall |" in survivors.text(Outcome(20, 20, 18), alive, survivors.read(path))


def test_no_reason_makes_up_for_a_low_score(tmp_path: Path) -> None:
    path = tmp_path / "surviving-mutants.toml"
    path.write_text(REASON)

    with pytest.raises(Failure, match=r"89\.9 %.* less than 90 % is too little"):
        mutmut.judged(Outcome(1000, 1000, 899), [AT_THE_EDGE], survivors.read(path))


def test_tests_that_fail_without_a_mutant_say_nothing_about_mutants(project: Path) -> None:
    (project / "tests/unit/test_door.py").write_text(TEST.replace("fits(3)", "fits(1)"))

    with pytest.raises(Failure, match="the unit tests do not pass where nothing is mutated"):
        mutmut.mutate()

    assert not (project / "build/mutate").exists()


@pytest.mark.usefixtures("project")
def test_what_is_not_in_scope_cannot_be_asked_for() -> None:
    scope = mutmut.Scope(paths=["rooms"], apart_from=["rooms/hall.py"], without=[])

    assert mutmut.chosen(scope, "") == mutmut.chosen(scope, "rooms") == ["rooms/__init__.py", "rooms/door.py"]
    assert mutmut.chosen(scope, "rooms/door.py") == ["rooms/door.py"]
    for path in ("tests", "rooms/hall.py"):
        with pytest.raises(Failure, match=f"nothing at {path} is mutated"):
            mutmut.chosen(scope, path)
    with pytest.raises(Failure, match=r"names rooms/wall\.py, and no Python file is there"):
        mutmut.chosen(mutmut.Scope(paths=["rooms", "rooms/wall.py"], apart_from=[], without=[]), "")


def test_a_scope_that_is_not_there_is_named(project: Path) -> None:
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


def test_a_change_of_the_same_lines_elsewhere_has_no_reason(tmp_path: Path) -> None:
    path = tmp_path / "surviving-mutants.toml"
    path.write_text(REASON)
    elsewhere = Mutant("rooms/door.py", "Window.fits", AT_THE_EDGE.was, AT_THE_EDGE.becomes, 9)

    text = survivors.text(Outcome(40, 40, 38), [AT_THE_EDGE, elsewhere], survivors.read(path))

    assert "38 of 40 mutants killed (95.0 %), 2 survive." in text
    assert text.count("nobody is that tall") == 1
    assert f"| `rooms/door.py` `Window.fits` | `{elsewhere.was}` | `{elsewhere.becomes}` | **no reason yet** |" in text


def test_the_page_names_every_survivor_that_has_a_reason() -> None:
    page = (ROOT / "docs/testing.md").read_text()

    for entry in survivors.read():
        assert f"| {entry.reason} |" in page, f"./ship mutate --write: {entry}"
