"""What is shipped, by ship.toml and the variables."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.errors import Failure
from scripts.grammar import Column, Name, RelativePath, Version
from scripts.shipment import Shipment, commit, local_repositories, platforms, repositories, shipment

Environment = Callable[..., None]
EXAMPLE = 'name = "house-price"\nversion = "1.0.0"\ntable = "training/data/houses.csv"\ntarget = "price"\n'


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
    """A checkout with the parts of this project that matter here."""
    files = {
        "ship.toml": EXAMPLE,
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
    """Set the variables for the model of wines, with the given changes; None unsets one."""

    def set_all(**changed: str | None) -> None:
        usual = {
            "SHIP_SOURCE": str(wines),
            "SHIP_TABLE": "data/wines.csv",
            "SHIP_TARGET": "quality",
            "SHIP_NAME": "wine",
            "SHIP_VERSION": "2.3.0",
        }
        for variable, value in (usual | changed).items():
            if value is None:
                monkeypatch.delenv(variable, raising=False)
            else:
                monkeypatch.setenv(variable, value)

    return set_all


@pytest.mark.parametrize("value", [None, ""])
def test_the_default_is_the_example_of_this_checkout(environment: Environment, checkout: Path, value: None) -> None:
    environment(SHIP_SOURCE=value, SHIP_TABLE=value, SHIP_TARGET=value, SHIP_NAME=value, SHIP_VERSION=value)
    found = shipment()

    assert found.is_example
    assert found.path == checkout / "training/data/houses.csv"
    assert (found.target, found.name, found.version) == ("price", "house-price", "1.0.0")


def test_variables_can_name_a_table_of_another_repository(environment: Environment, wines: Path) -> None:
    environment()
    found = shipment()

    assert not found.is_example
    assert found.path == wines / "data/wines.csv"
    assert (found.target, found.name, found.version) == ("quality", "wine", "2.3.0")
    assert commit().revision == git(wines, "rev-parse", "HEAD")
    assert local_repositories() == ["localhost:5001/wine", "localhost:5002/wine"]


def test_a_table_elsewhere_with_the_name_of_the_example_is_not_the_example(environment: Environment) -> None:
    environment(SHIP_TABLE="training/data/houses.csv", SHIP_TARGET="price")

    assert not shipment().is_example


def test_another_table_of_this_checkout_has_the_same_version(environment: Environment, checkout: Path) -> None:
    environment(SHIP_SOURCE=None, SHIP_TABLE="more.csv", SHIP_TARGET="y", SHIP_VERSION=None)

    assert (shipment().version, shipment().is_example) == ("1.0.0", False)
    assert commit().revision == git(checkout, "rev-parse", "HEAD")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"SHIP_SOURCE": "/nowhere"}, "no such directory"),
        ({"SHIP_SOURCE": "/"}, "is not a Git repository"),
        ({"SHIP_TABLE": None}, "has no table"),
        ({"SHIP_TABLE": "data/beers.csv"}, "no table data/beers.csv"),
        ({"SHIP_TABLE": "data"}, "no table data "),
        (
            {"SHIP_TABLE": "../shipshape/more.csv", "SHIP_TARGET": "y"},
            "SHIP_TABLE: '../shipshape/more.csv' is not the path",
        ),
        ({"SHIP_TABLE": "--upload-pack=touch pwned"}, "SHIP_TABLE: '--upload-pack=touch pwned' is not the path"),
        ({"SHIP_TARGET": "quality\x1b[2J"}, r"SHIP_TARGET: 'quality\x1b[2J' is not the name of a column"),
        ({"SHIP_TARGET": None}, "has no target"),
        ({"SHIP_TARGET": "price"}, "no column 'price'"),
        ({"SHIP_SOURCE": None, "SHIP_TABLE": "more.csv", "SHIP_TARGET": None}, "no column 'price'"),
        ({"SHIP_VERSION": None}, "has no version"),
        ({"SHIP_VERSION": "2.3"}, "SHIP_VERSION: '2.3' is not a version"),
        ({"SHIP_VERSION": "$(touch pwned)"}, "SHIP_VERSION: '$(touch pwned)' is not a version"),
        ({"SHIP_NAME": "Wine Quality"}, "SHIP_NAME: 'Wine Quality' is not a name"),
        ({"SHIP_NAME": "me/wine"}, "SHIP_NAME: 'me/wine' is not a name"),
    ],
)
def test_a_missing_or_wrong_value_is_named(environment: Environment, changed: dict[str, str], reason: str) -> None:
    environment(**changed)

    with pytest.raises(Failure) as failed:
        shipment()

    assert reason in failed.value.reason
    assert failed.value.remedy


def test_an_unknown_target_lists_the_columns(environment: Environment) -> None:
    environment(SHIP_TABLE="bare.csv", SHIP_TARGET="grade")

    with pytest.raises(Failure, match="grade") as failed:
        shipment()

    assert failed.value.remedy == "the target is one of acidity, total, quality"


def test_a_folder_in_a_repository_is_not_a_source(environment: Environment, wines: Path) -> None:
    environment(SHIP_SOURCE=str(wines / "data"), SHIP_TABLE="wines.csv")

    with pytest.raises(Failure, match="a folder in the Git repository"):
        shipment()


def test_a_table_that_git_ignores_is_refused(environment: Environment, wines: Path) -> None:
    (wines / "now.tmp.csv").write_text("x,quality\n")
    environment(SHIP_TABLE="now.tmp.csv")

    with pytest.raises(Failure, match="Git ignores"):
        shipment()


def test_a_link_to_a_table_elsewhere_is_refused(environment: Environment, wines: Path, checkout: Path) -> None:
    (wines / "linked.csv").symlink_to(checkout / "more.csv")
    environment(SHIP_TABLE="linked.csv", SHIP_TARGET="y")

    with pytest.raises(Failure, match="is outside"):
        shipment()


@pytest.mark.parametrize("changed", ["wines", "shipshape"])
def test_a_change_in_either_checkout_makes_the_commit_dirty(
    environment: Environment, tmp_path: Path, changed: str
) -> None:
    environment()
    assert not commit().dirty

    (tmp_path / changed / "later").write_text("")

    assert commit().dirty
    assert commit().revision.startswith(git(tmp_path / "wines", "rev-parse", "HEAD"))


def test_the_build_gets_only_the_table_and_its_description(
    environment: Environment, wines: Path, tmp_path: Path
) -> None:
    environment()
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "stale.csv").touch()
    shipment().copy_to(tmp_path / "context")

    files = [path for path in (tmp_path / "context").rglob("*") if path.is_file()]
    assert sorted(path.relative_to(tmp_path / "context").as_posix() for path in files) == [
        "data/wines.csv",
        "data/wines.toml",
    ]
    assert (tmp_path / "context/data/wines.csv").read_bytes() == (wines / "data/wines.csv").read_bytes()


def test_a_table_needs_no_description(environment: Environment, tmp_path: Path) -> None:
    environment(SHIP_TABLE="bare.csv")
    shipment().copy_to(tmp_path / "context")

    assert [path.name for path in (tmp_path / "context").iterdir()] == ["bare.csv"]


def test_a_sourced_record_does_not_set_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """`. deploy/environments/test.env` sets VERSION to the release that runs there, not the one that is built."""
    monkeypatch.setenv("VERSION", "3.0.0")

    assert shipment().version == "1.0.0"


def stated(wines: Path, text: str) -> None:
    (wines / "ship.toml").write_text(text)
    git(wines, "add", "ship.toml")
    git(wines, "commit", "--quiet", "--message", "ship.toml")


WINE = 'name = "wine"\nversion = "2.3.0"\ntable = "data/wines.csv"\ntarget = "quality"\n'


def test_a_file_defines_what_another_repository_ships(wines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = 'registries = ["ghcr.io/me/wine", "ghcr.io/me/wine"]\nplatforms = ["linux/arm64"]\n'
    stated(wines, WINE + more)
    monkeypatch.setenv("SHIP_SOURCE", str(wines))

    assert shipment() == Shipment(
        wines, RelativePath("data/wines.csv"), Column("quality"), Name("wine"), Version("2.3.0")
    )
    assert (repositories(), platforms()) == (["ghcr.io/me/wine"], ("linux/arm64",))


def test_a_variable_overrides_a_line(wines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stated(wines, WINE + 'platforms = ["linux/arm64"]\n')
    monkeypatch.setenv("SHIP_SOURCE", str(wines))
    monkeypatch.setenv("SHIP_VERSION", "2.4.0")
    monkeypatch.setenv("SHIP_PLATFORMS", "linux/amd64, linux/arm64")

    assert (shipment().name, shipment().version) == ("wine", "2.4.0")
    assert platforms() == ("linux/amd64", "linux/arm64")


def test_a_repository_can_have_a_file_for_each_model(wines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stated(wines, WINE)
    (wines / "bare.toml").write_text('name = "bare"\nversion = "0.1.0"\ntable = "bare.csv"\ntarget = "quality"\n')
    monkeypatch.setenv("SHIP_SOURCE", str(wines))
    monkeypatch.setenv("SHIP_FILE", "bare.toml")

    assert (shipment().name, shipment().table) == ("bare", "bare.csv")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name = wine", "ship.toml is malformed"),
        ('nmae = "wine"', "unknown field `nmae`"),
        ('version = "1.0"', "is not a version"),
        ("version = 1.0", "1.0 is not a version"),
        ('table = "../wines.csv"', "is not the path"),
        ('registries = "ghcr.io/me/wine"', "Expected `array`"),
        ('registries = ["me/wine"]', "is not a repository"),
        ('platforms = ["linux"]', "is not a platform"),
        (f"version = {'1' * 5000}", "ship.toml is malformed"),
        ("\xff", "ship.toml is malformed"),
    ],
)
def test_a_malformed_file_is_refused(wines: Path, monkeypatch: pytest.MonkeyPatch, text: str, reason: str) -> None:
    (wines / "ship.toml").write_bytes(text.encode("latin-1"))
    monkeypatch.setenv("SHIP_SOURCE", str(wines))

    with pytest.raises(Failure, match=reason) as refused:
        shipment()
    assert refused.value.remedy


def test_a_file_that_does_not_exist_is_named(wines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHIP_SOURCE", str(wines))
    monkeypatch.setenv("SHIP_FILE", "bear.toml")

    with pytest.raises(Failure, match=f"there is no file bear.toml in {wines}") as refused:
        shipment()
    assert "SHIP_FILE" in refused.value.remedy


def test_a_file_without_a_line_is_named(wines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (wines / "bare.toml").write_text('name = "bare"')
    monkeypatch.setenv("SHIP_SOURCE", str(wines))
    monkeypatch.setenv("SHIP_FILE", "bare.toml")

    with pytest.raises(Failure, match=f"bare.toml in {wines} has no table"):
        shipment()


def test_a_file_that_git_ignores_is_refused(wines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The work tree counts as clean, so the image would name a commit that does not say what is shipped."""
    (wines / ".git/info").mkdir(exist_ok=True)
    (wines / ".git/info/exclude").write_text("ship.toml\n")
    (wines / "ship.toml").write_text(WINE)
    monkeypatch.setenv("SHIP_SOURCE", str(wines))
    assert not commit().dirty

    with pytest.raises(Failure, match=r"Git ignores ship\.toml"):
        shipment()


def test_a_link_in_place_of_the_file_is_refused(wines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stated(wines, WINE)
    (wines / "ship.toml").rename(wines / "wine.toml")
    (wines / "ship.toml").symlink_to("wine.toml")
    git(wines, "add", "--all")
    git(wines, "commit", "--quiet", "--message", "link")
    monkeypatch.setenv("SHIP_SOURCE", str(wines))

    with pytest.raises(Failure, match=r"ship\.toml is a link"):
        shipment()


@pytest.mark.parametrize("path", ["./data/wines.csv", "data//wines.csv", "data/./wines.csv"])
@pytest.mark.parametrize("place", ["file", "variable"])
def test_a_path_can_be_written_in_other_ways(
    wines: Path, monkeypatch: pytest.MonkeyPatch, path: str, place: str
) -> None:
    stated(wines, WINE.replace("data/wines.csv", path) if place == "file" else WINE)
    monkeypatch.setenv("SHIP_SOURCE", str(wines))
    if place == "variable":
        monkeypatch.setenv("SHIP_TABLE", path)

    assert shipment().table == "data/wines.csv"


def test_a_table_with_an_endless_field_is_refused(environment: Environment, wines: Path) -> None:
    (wines / "wide.csv").write_text("x" * 200_000 + ",quality\n")
    environment(SHIP_TABLE="wide.csv")

    with pytest.raises(Failure, match=r"wide\.csv has no header that can be read: field larger than field limit"):
        shipment()


def test_the_file_is_read_from_the_commit(wines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git skips the change, so the image would name a commit with another file."""
    stated(wines, WINE)
    git(wines, "update-index", "--assume-unchanged", "ship.toml")
    (wines / "ship.toml").write_text(WINE.replace("2.3.0", "9.9.9"))
    monkeypatch.setenv("SHIP_SOURCE", str(wines))

    assert not commit().dirty
    assert shipment().version == "2.3.0"


def test_uncommitted_content_counts_while_the_checkout_is_dirty(wines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stated(wines, WINE)
    (wines / "ship.toml").write_text(WINE.replace("2.3.0", "2.4.0"))
    monkeypatch.setenv("SHIP_SOURCE", str(wines))

    assert (commit().dirty, shipment().version) == (True, "2.4.0")


@pytest.mark.parametrize("hidden", ["assumed unchanged", "other line ends"])
def test_the_table_is_read_from_the_commit(environment: Environment, wines: Path, tmp_path: Path, hidden: str) -> None:
    """Git reports no change, but the work tree has other bytes."""
    environment(SHIP_TABLE="bare.csv")
    if hidden == "assumed unchanged":
        git(wines, "update-index", "--assume-unchanged", "bare.csv")
        (wines / "bare.csv").write_text("acidity,quality\n9,9\n")
    else:
        git(wines, "config", "core.autocrlf", "true")
        (wines / "bare.csv").unlink()
        git(wines, "checkout", "--", "bare.csv")
        assert b"\r\n" in (wines / "bare.csv").read_bytes()
    assert not commit().dirty
    shipment().copy_to(tmp_path / "context")

    assert [path.name for path in (tmp_path / "context").iterdir()] == ["bare.csv"]
    assert (tmp_path / "context/bare.csv").read_bytes() == '\ufeff\n"acidity, total",quality\n'.encode()


def test_a_table_that_is_not_in_the_commit_is_refused(environment: Environment, wines: Path, tmp_path: Path) -> None:
    (wines / ".git/info").mkdir(exist_ok=True)
    (wines / ".git/info/exclude").write_text("later.csv\n")
    git(wines, "config", "status.showUntrackedFiles", "no")
    (wines / "later.csv").write_text("x,quality\n")
    git(wines, "add", "--force", "--intent-to-add", "later.csv")
    git(wines, "update-index", "--assume-unchanged", "later.csv")
    environment(SHIP_TABLE="later.csv")

    with pytest.raises(Failure) as failed:
        shipment().copy_to(tmp_path / "context")

    assert failed.value.reason == "the commit does not have later.csv"


def test_an_uncommitted_table_is_built_from_the_work_tree(
    environment: Environment, wines: Path, tmp_path: Path
) -> None:
    """The labels of such an image say that it is of no commit."""
    environment()
    (wines / "data/wines.csv").write_text("acidity,quality\n1,2\n")
    shipment().copy_to(tmp_path / "context")

    assert commit().dirty
    assert (tmp_path / "context/data/wines.csv").read_text() == "acidity,quality\n1,2\n"


def test_two_local_registries_are_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHIP_REGISTRIES", raising=False)

    assert repositories() == ["localhost:5001/house-price", "localhost:5002/house-price"]


@pytest.mark.parametrize(
    "named",
    [
        "docker.io/me/x ghcr.io/Me/x",
        " docker.io/me/x,\n ghcr.io/me/x ",
        "docker.io/me/x ghcr.io/me/x docker.io/me/x",
    ],
)
def test_registries_are_separated_by_spaces_or_commas_and_lowercased(
    monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setenv("SHIP_REGISTRIES", named)

    assert repositories() == ["docker.io/me/x", "ghcr.io/me/x"]


@pytest.mark.parametrize(
    "named", [" ", ",", "me/x", "docker.io", "docker.io/me/x:1.0.0", "--help", "docker.io/me/x docker.io/$(id)"]
)
def test_registries_without_a_repository_are_an_error(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.setenv("SHIP_REGISTRIES", named)

    with pytest.raises(Failure, match="SHIP_REGISTRIES") as refused:
        repositories()
    assert "docker.io/me/house-price" in refused.value.remedy
