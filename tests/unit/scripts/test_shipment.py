"""Whose model is built, as the environment says it."""

import platform
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.errors import Failure
from scripts.oci import registry
from scripts.shipment import commit, name, source, version

Environment = Callable[..., None]


def git(root: Path, *arguments: str) -> str:
    author = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    return subprocess.run(
        ["git", *author, *arguments], cwd=root, check=True, capture_output=True, text=True
    ).stdout.strip()


def repository(root: Path, files: dict[str, str]) -> Path:
    """A repository with `files` in its one commit."""
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "first")
    return root


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of this project, as far as it matters here."""
    files = {
        "pyproject.toml": '[project]\nversion = "1.0.0"\n',
        "training/data/houses.csv": "area,price\n80,100\n",
        "training/data/houses.toml": "",
        "more.csv": "x,y\n",
    }
    for module in ("checkout", "shipment"):
        monkeypatch.setattr(f"scripts.{module}.ROOT", tmp_path / "shipshape")
    return repository(tmp_path / "shipshape", files)


@pytest.fixture
def wines(tmp_path: Path) -> Path:
    files = {
        "data/wines.csv": "acidity,quality\n7.1,5\n",
        "data/wines.toml": "",
        "bare.csv": '\ufeff\n"acidity, total",quality\n',
        "training/data/houses.csv": "area,price\n60,90\n",
        ".gitignore": "*.tmp.csv\n",
    }
    return repository(tmp_path / "wines", files)


@pytest.fixture
def environment(wines: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """Set the variables for the model of wines, but for what is given; None unsets."""

    def set_all(**changed: str | None) -> None:
        usual = {
            "SOURCE": str(wines),
            "DATA": "data/wines.csv",
            "TARGET": "quality",
            "NAME": "wine",
            "VERSION": "2.3.0",
        }
        for variable, value in (usual | changed).items():
            if value is None:
                monkeypatch.delenv(variable, raising=False)
            else:
                monkeypatch.setenv(variable, value)

    return set_all


@pytest.mark.parametrize("value", [None, ""])
def test_nothing_said_is_the_example_of_this_checkout(environment: Environment, checkout: Path, value: None) -> None:
    environment(SOURCE=value, DATA=value, TARGET=value, NAME=value, VERSION=value)
    found = source()

    assert found.is_example
    assert found.table == checkout / "training/data/houses.csv"
    assert (found.target, found.name, found.version) == ("price", "house-price", "1.0.0")


def test_everything_said_is_a_table_of_another_repository(environment: Environment, wines: Path) -> None:
    environment()
    found = source()

    assert not found.is_example
    assert found.table == wines / "data/wines.csv"
    assert (found.target, found.name, found.version) == ("quality", "wine", "2.3.0")
    assert commit().revision == git(wines, "rev-parse", "HEAD")
    assert registry.local_repositories() == ["localhost:5001/wine", "localhost:5002/wine"]


def test_a_table_of_the_example_s_name_elsewhere_is_not_the_example(environment: Environment) -> None:
    environment(DATA="training/data/houses.csv", TARGET="price")

    assert not source().is_example


def test_another_table_of_this_checkout_has_its_version(environment: Environment, checkout: Path) -> None:
    environment(SOURCE=None, DATA="more.csv", TARGET="y", VERSION=None)

    assert (source().version, source().is_example) == ("1.0.0", False)
    assert commit().revision == git(checkout, "rev-parse", "HEAD")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"SOURCE": "/nowhere"}, "no such directory"),
        ({"SOURCE": "/"}, "is not a Git repository"),
        ({"DATA": None}, "DATA is not set"),
        ({"DATA": "data/beers.csv"}, "no table data/beers.csv"),
        ({"DATA": "data"}, "no table data "),
        ({"DATA": "../shipshape/more.csv", "TARGET": "y"}, "DATA: '../shipshape/more.csv' is not the path"),
        ({"DATA": "--upload-pack=touch pwned"}, "DATA: '--upload-pack=touch pwned' is not the path"),
        ({"TARGET": "quality\x1b[2J"}, r"TARGET: 'quality\x1b[2J' is not the name of a column"),
        ({"TARGET": None}, "TARGET is not set"),
        ({"TARGET": "price"}, "no column 'price'"),
        ({"SOURCE": None, "DATA": "more.csv", "TARGET": None}, "TARGET is not set"),
        ({"VERSION": None}, "VERSION is not set"),
        ({"VERSION": "2.3"}, "VERSION: '2.3' is not a version"),
        ({"VERSION": "$(touch pwned)"}, "VERSION: '$(touch pwned)' is not a version"),
        ({"NAME": "Wine Quality"}, "NAME: 'Wine Quality' is not a name"),
        ({"NAME": "me/wine"}, "NAME: 'me/wine' is not a name"),
    ],
)
def test_what_is_missing_or_wrong_is_named(environment: Environment, changed: dict[str, str], reason: str) -> None:
    environment(**changed)

    with pytest.raises(Failure) as failed:
        source()

    assert reason in failed.value.reason
    assert failed.value.remedy


def test_a_missing_target_lists_the_columns(environment: Environment) -> None:
    environment(DATA="bare.csv", TARGET="grade")

    with pytest.raises(Failure, match="grade") as failed:
        source()

    assert failed.value.remedy == "TARGET is one of acidity, total, quality"


def test_a_folder_of_a_repository_is_not_a_source(environment: Environment, wines: Path) -> None:
    environment(SOURCE=str(wines / "data"), DATA="wines.csv")

    with pytest.raises(Failure, match="a folder of the Git repository"):
        source()


def test_a_table_that_git_ignores_is_in_no_commit(environment: Environment, wines: Path) -> None:
    (wines / "now.tmp.csv").write_text("x,quality\n")
    environment(DATA="now.tmp.csv")

    with pytest.raises(Failure, match="Git ignores"):
        source()


def test_a_link_to_a_table_elsewhere_is_in_no_commit(environment: Environment, wines: Path, checkout: Path) -> None:
    (wines / "linked.csv").symlink_to(checkout / "more.csv")
    environment(DATA="linked.csv", TARGET="y")

    with pytest.raises(Failure, match="lies outside"):
        source()


@pytest.mark.parametrize("changed", ["wines", "shipshape"])
def test_a_change_in_either_checkout_makes_it_dirty(environment: Environment, tmp_path: Path, changed: str) -> None:
    environment()
    assert not commit().dirty

    (tmp_path / changed / "later").write_text("")

    assert commit().dirty
    assert commit().revision.startswith(git(tmp_path / "wines", "rev-parse", "HEAD"))


def test_the_build_is_given_the_table_and_its_description_alone(
    environment: Environment, wines: Path, tmp_path: Path
) -> None:
    environment()
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "stale.csv").touch()
    source().copy_to(tmp_path / "context")

    files = [path for path in (tmp_path / "context").rglob("*") if path.is_file()]
    assert sorted(path.relative_to(tmp_path / "context").as_posix() for path in files) == [
        "data/wines.csv",
        "data/wines.toml",
    ]
    assert (tmp_path / "context/data/wines.csv").read_bytes() == (wines / "data/wines.csv").read_bytes()


def test_a_table_may_lie_alone(environment: Environment, tmp_path: Path) -> None:
    environment(DATA="./bare.csv")
    source().copy_to(tmp_path / "context")

    assert [path.name for path in (tmp_path / "context").iterdir()] == ["bare.csv"]
    assert source().data == "bare.csv"


def test_the_machine_s_own_name_is_not_the_model_s(environment: Environment) -> None:
    environment(NAME=platform.node())

    assert name() == "house-price"


@pytest.mark.parametrize("data", [None, "more.csv"])
def test_a_version_without_a_source_is_not_read(environment: Environment, data: str | None) -> None:
    """It is there after an environment's record was sourced, and says what runs, not what is built."""
    environment(SOURCE=None, DATA=data, TARGET="y" if data else None, NAME=None, VERSION="3.0.0")

    assert (version(), source().version) == ("1.0.0", "1.0.0")


@pytest.mark.parametrize("hidden", ["assumed unchanged", "other line ends"])
def test_the_table_is_the_one_in_the_commit(environment: Environment, wines: Path, tmp_path: Path, hidden: str) -> None:
    """Git says that nothing changed, and the work tree holds other bytes."""
    environment(DATA="bare.csv")
    if hidden == "assumed unchanged":
        git(wines, "update-index", "--assume-unchanged", "bare.csv")
        (wines / "bare.csv").write_text("acidity,quality\n9,9\n")
    else:
        git(wines, "config", "core.autocrlf", "true")
        (wines / "bare.csv").unlink()
        git(wines, "checkout", "--", "bare.csv")
        assert b"\r\n" in (wines / "bare.csv").read_bytes()
    assert not commit().dirty
    source().copy_to(tmp_path / "context")

    assert [path.name for path in (tmp_path / "context").iterdir()] == ["bare.csv"]
    assert (tmp_path / "context/bare.csv").read_bytes() == '\ufeff\n"acidity, total",quality\n'.encode()


def test_a_table_that_the_commit_does_not_have(environment: Environment, wines: Path, tmp_path: Path) -> None:
    (wines / ".git/info").mkdir(exist_ok=True)
    (wines / ".git/info/exclude").write_text("later.csv\n")
    git(wines, "config", "status.showUntrackedFiles", "no")
    (wines / "later.csv").write_text("x,quality\n")
    git(wines, "add", "--force", "--intent-to-add", "later.csv")
    git(wines, "update-index", "--assume-unchanged", "later.csv")
    environment(DATA="later.csv")

    with pytest.raises(Failure) as failed:
        source().copy_to(tmp_path / "context")

    assert failed.value.reason == "the commit does not have later.csv"


def test_an_uncommitted_table_is_built_from_the_work_tree(
    environment: Environment, wines: Path, tmp_path: Path
) -> None:
    """Such an image says that it is of no commit."""
    environment()
    (wines / "data/wines.csv").write_text("acidity,quality\n1,2\n")
    source().copy_to(tmp_path / "context")

    assert commit().dirty
    assert (tmp_path / "context/data/wines.csv").read_text() == "acidity,quality\n1,2\n"
