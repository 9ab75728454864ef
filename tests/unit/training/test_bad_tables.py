"""An invalid table is refused in a sentence that names the place, with exit status 2."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from training.__main__ import main

HEADER = "size,kind,price\n"
LINES = [f"{40 + row},{'flat' if row % 2 else 'house'},{1000 * row + 7}\n" for row in range(60)]
GOOD = HEADER + "".join(LINES)
DESCRIPTION = """
[target]
name = "price"
unit = "EUR"
[columns.size]
type = "integer"
range = [10, 500]
[columns.kind]
type = "category"
categories = ["flat", "house"]
"""


def replace_line(line: int, text: str) -> str:
    """Return the valid table with one line of the file, counted from 1, replaced."""
    lines = GOOD.splitlines(keepends=True)
    return "".join([*lines[: line - 1], text + "\n", *lines[line:]])


def refuse(tmp_path: Path, content: str | bytes, *, description: str = "", target: str = "price") -> str:
    path = tmp_path / "homes.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if description:
        path.with_suffix(".toml").write_text(description, encoding="utf-8")
    arguments = ["--data", str(path), "--target", target, "--out", str(tmp_path / "model")]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 2, result.output
    assert not (tmp_path / "model").exists()
    return result.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param("", ["homes.csv is empty"], id="empty"),
        pytest.param("\n\n", ["homes.csv is empty"], id="blank lines only"),
        pytest.param(HEADER, ["has 0 rows", "at least 50"], id="header only"),
        pytest.param(HEADER + LINES[0], ["has 1 rows", "at least 50"], id="one row"),
        pytest.param(GOOD.encode() + b"50,f\xe9,1\n", ["line 62", "not UTF-8"], id="not UTF-8"),
        pytest.param(GOOD.replace("kind", "size"), ["two columns 'size'", "rename"], id="a column twice"),
        pytest.param(GOOD.replace("kind", " "), ["column 2 has no name"], id="a column without a name"),
        pytest.param(GOOD.replace("price", "cost"), ["no column 'price'", "size, kind, cost"], id="missing target"),
        pytest.param(
            "price\n" + "".join(f"{row}\n" for row in range(60)), ["no column besides", "'price'"], id="no features"
        ),
        pytest.param(
            replace_line(9, "50,flat,"),
            ["line 9", "'price'", "an empty cell", "a finite number"],
            id="missing value of the target",
        ),
        pytest.param(replace_line(9, "50,flat,dear"), ["line 9", "'price'", '"dear"'], id="text for the target"),
        pytest.param(replace_line(5, "50,flat"), ["line 5", "2 cells", "header has 3"], id="ragged row"),
        pytest.param(replace_line(5, '50,"flat,7'), ["line 5", "not CSV"], id="quote left open"),
        pytest.param(
            replace_line(7, "large,flat,1"), ["line 7", "'size'", '"large"', "number"], id="text in a number column"
        ),
        pytest.param(replace_line(7, "NaN,flat,1"), ["line 7", "'size'", '"NaN"'], id="NaN"),
        pytest.param(replace_line(7, "inf,flat,1"), ["line 7", "'size'", '"inf"'], id="inf"),
        pytest.param(replace_line(7, "1e999,flat,1"), ["line 7", "'size'", "Infinity"], id="a number too large"),
        pytest.param(replace_line(7, "1_0,flat,1"), ["line 7", "'size'", '"1_0"'], id="a number as Python writes it"),
        pytest.param(GOOD + LINES[3], ["line 62", "line 5", "--drop-duplicates"], id="duplicate rows"),
        pytest.param(
            HEADER + "".join(f"{row},flat,7\n" for row in range(60)),
            ["target 'price'", "7 in every"],
            id="constant target",
        ),
        pytest.param(
            HEADER + "".join(f"{row},,{row}\n" for row in range(60)),
            ["'kind'", "no values"],
            id="a column without values",
        ),
        pytest.param(
            HEADER + "".join(f"{row},home {row},{row}\n" for row in range(150)),
            ["'kind'", "150 different"],
            id="free text",
        ),
    ],
)
def test_an_invalid_table_is_refused(content: str | bytes, words: list[str], tmp_path: Path) -> None:
    message = refuse(tmp_path, content)

    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(
            replace_line(7, "501,flat,1"), ["line 7", "'size'", "found 501", "from 10 to 500"], id="out of range"
        ),
        pytest.param(replace_line(7, "50.5,flat,1"), ["line 7", "'size'", "50.5", "an integer"], id="not an integer"),
        pytest.param(
            replace_line(7, "50,tent,1"), ["line 7", "'kind'", '"tent"', '"flat", "house"'], id="unknown category"
        ),
        pytest.param(replace_line(7, ",flat,1"), ["line 7", "'size'", "an empty cell"], id="missing where not allowed"),
        pytest.param(
            replace_line(7, ",flat,1").replace("9,flat", "9,tent"), ["line 7", "more such cells"], id="several at once"
        ),
        pytest.param(GOOD.replace("kind", "sort"), ["'sort'", "not in the description"], id="a column not described"),
        pytest.param(
            GOOD.replace("size,", "").replace(",flat", "").replace(",house", ""), ["'size'"], id="one too many"
        ),
    ],
)
def test_a_table_that_contradicts_its_description_is_refused(content: str, words: list[str], tmp_path: Path) -> None:
    message = refuse(tmp_path, content, description=DESCRIPTION)

    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("description", "words"),
    [
        pytest.param("[target", ["homes.toml"], id="not TOML"),
        pytest.param(DESCRIPTION.replace("integer", "int"), ["homes.toml", "$.columns", "type"], id="unknown type"),
        pytest.param(DESCRIPTION.replace("range = [10, 500]", "range = [9, 1]"), ["smallest, largest"], id="range"),
        pytest.param(DESCRIPTION.replace('categories = ["flat", "house"]', ""), ["lists its categories"], id="none"),
        pytest.param(DESCRIPTION.replace('"house"]', '"flat"]'), ["listed twice"], id="a category twice"),
        pytest.param(DESCRIPTION.replace("price", "cost"), ["'cost'", "'price'"], id="another target"),
    ],
)
def test_an_invalid_description_is_refused(description: str, words: list[str], tmp_path: Path) -> None:
    message = refuse(tmp_path, GOOD, description=description)

    assert all(word in message for word in words), message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        main, ["--data", str(tmp_path / "no.csv"), "--target", "a", "--out", str(tmp_path / "m")]
    )

    assert result.exit_code == 2
    assert "no.csv cannot be read: No such file or directory" in result.stderr


def test_a_missing_target_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--data", "homes.csv", "--out", str(tmp_path / "m")])

    assert result.exit_code == 2
    assert "--target" in result.stderr
