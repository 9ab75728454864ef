"""Reading a table: the value of each cell, the inferred types, the line of an error, and the limits."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import msgspec
import numpy as np
import pytest

from app.model import Data, Feature, Gate, Target
from training import table
from training.description import Column, Description, InputError


def refuse(content: str | bytes, description: Description | None = None) -> str:
    data = content if isinstance(content, bytes) else content.encode()
    with pytest.raises(InputError) as refused:
        table.parse("t.csv", data, "y", description)
    return str(refused.value)


def lines(rows: int, cell: str = "1") -> str:
    return "".join(f"{cell},{row}\n" for row in range(rows))


def test_the_type_of_each_cell_is_inferred() -> None:
    kinds = ["flat", "house", ""]
    content = "x,kind,y,z\n" + "".join(
        f"{row}.5,{kinds[row % 3]},{row},{'' if row == 3 else -row}\n" for row in range(50)
    )

    found = table.parse("t.csv", content.encode(), "y", None)

    assert found.data == Data("t.csv", hashlib.sha256(content.encode()).hexdigest(), 50)
    assert (found.target, found.gate, found.duplicates) == (Target("y", None), Gate(), 0)
    assert found.features == (
        Feature("x", "number"),
        Feature("kind", "category", categories=("flat", "house"), missing=True),
        Feature("z", "number", missing=True),
    )
    assert found.rows[:4] == [[0.5, "flat", 0.0], [1.5, "house", -1.0], [2.5, None, -2.0], [3.5, "flat", None]]
    assert np.array_equal(
        found.matrix[:4],
        [[0.5, 0.0, 0.0], [1.5, 1.0, -1.0], [2.5, math.nan, -2.0], [3.5, 0.0, math.nan]],
        equal_nan=True,
    )
    assert found.y.tolist() == [float(row) for row in range(50)]


def test_a_description_sets_the_types() -> None:
    description = Description(
        Target("y", "EUR"),
        {"b": Column("category", categories=("1", "2"), description="a code"), "a": Column("integer", unit="m2")},
        Gate(min_r2=0.7),
    )
    content = "a,y,b\n" + "".join(f"{row},{row},{1 + row % 2}\n" for row in range(50))

    found = table.parse("t.csv", content.encode(), "y", description)

    assert (found.target, found.gate) == (Target("y", "EUR"), Gate(min_r2=0.7))
    assert found.features == (
        Feature("a", "integer", unit="m2"),
        Feature("b", "category", categories=("1", "2"), description="a code"),
    )
    assert found.rows[1] == [1.0, "2"]


@pytest.mark.parametrize("cell", ["5", "+5", "5.", "5.0", "0.5e1", "50E-1", "05", ".5e+1"])
def test_a_number_can_be_written_in_many_ways(cell: str) -> None:
    found = table.parse("t.csv", f"x,y\n{lines(49)}{cell},7\n".encode(), "y", None)

    assert found.rows[-1] == [5.0]


@pytest.mark.parametrize("cell", ["5e", "e5", "5,0", "0x5", "5 ", "\u0665", "1_0", "--5", "."])  # the fifth is Arabic
def test_a_cell_that_only_resembles_a_number_is_text(cell: str) -> None:
    assert refuse(f'x,y\n{lines(49)}"{cell}",7\n').startswith("t.csv, line 51, column 'x': found \"")


def test_a_column_is_a_number_if_half_of_its_filled_cells_are() -> None:
    def kind(numbers: int, texts: int) -> str:
        cells = ["1"] * numbers + ["a"] * texts + [""] * (60 - numbers - texts)
        rows = "".join(f"{cell},{row}\n" for row, cell in enumerate(cells))
        try:
            return table.parse("t.csv", f"x,y\n{rows}".encode(), "y", None).features[0].type
        except InputError as refused:
            return str(refused)

    assert kind(20, 21) == "category"
    assert kind(20, 20) == (
        "t.csv, line 22, column 'x': found \"a\", wanted a finite number or null. There are 19 more such cells."
    )


def test_a_column_can_have_a_hundred_categories() -> None:
    def parsed(count: int) -> table.Table:
        rows = "".join(f"home {row % count},{row}\n" for row in range(150))
        return table.parse("t.csv", f"x,y\n{rows}".encode(), "y", None)

    assert len(parsed(100).features[0].categories) == 100
    with pytest.raises(InputError) as refused:
        parsed(101)
    assert str(refused.value) == (
        "t.csv: column 'x' has 101 different texts, more than 100 categories: remove it, or group them."
    )


def test_fifty_rows_are_enough() -> None:
    assert table.parse("t.csv", f"x,y\n{lines(50)}".encode(), "y", None).data.rows == 50
    assert refuse(f"x,y\n{lines(49)}") == "t.csv has 49 rows: use at least 50, to train and test on."


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "t.csv is empty: write a header line and at least 50 rows."),
        ("x,y\n1,2\n3\n", "t.csv, line 3: 1 cells, but the header has 2. Quote cells that contain a comma."),
        ('x,y\n"a\nb",2\n3\n', "t.csv, line 4: 1 cells, but the header has 2. Quote cells that contain a comma."),
        ("x,y\n\n\n1,2,3\n", "t.csv, line 4: 3 cells, but the header has 2. Quote cells that contain a comma."),
        (b"x,y\r\n1,2\r\n\xff,3\r\n", "t.csv, line 3: not UTF-8. Save the table as UTF-8."),
        (b"\n\xff,y\n", "t.csv, line 2: not UTF-8. Save the table as UTF-8."),
        (b"\xff,y\n", "t.csv, line 1: not UTF-8. Save the table as UTF-8."),
        ("x,,y\n", "t.csv: column 2 has no name: name it in the header line."),
        ("x,y,x\n", "t.csv has two columns 'x': rename or remove one."),
        ("x,z\n", "t.csv has no column 'y': --target is one of x, z."),
        ("y\n", "t.csv has no column besides the target 'y': add one to predict it from."),
        ("x,y\n1,7\n", "t.csv has 1 rows: use at least 50, to train and test on."),
    ],
)  # fmt: skip
def test_an_error_in_a_file_names_the_line_and_the_remedy(content: str | bytes, sentence: str) -> None:
    assert refuse(content) == sentence


def test_a_column_without_values_is_named() -> None:
    assert refuse(f"x,y\n{lines(50, cell='')}") == "t.csv: column 'x' has no values: remove it."


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_line_ending_is_accepted_and_kept_inside_a_cell(end: str) -> None:
    rows = [*lines(49).replace("1,", "a,").splitlines(), '"a\r\nb",7']

    found = table.parse("t.csv", end.join(["x,y", *rows]).encode(), "y", None)

    assert found.features[0].categories == ("a", "a\r\nb")


def test_a_line_that_is_not_csv_is_named() -> None:
    assert refuse('"x,y\n').startswith("t.csv, line 1: not CSV (")
    assert refuse('x,y\n1,2\n"1,2\n').startswith("t.csv, line 3: not CSV (unexpected end of data)")
    assert refuse('x,y\n1,2\n"1"2,2\n').startswith("t.csv, line 3: not CSV (")


def test_a_constant_target_is_refused() -> None:
    content = "x,y\n" + "".join(f"{row},2.50\n" for row in range(50))

    assert refuse(content) == "t.csv: the target 'y' is 2.5 in every row: choose another target."


def test_a_repeated_row_is_refused_or_dropped() -> None:
    content = f"x,y\n{lines(50)}1,7\n1,9\n".encode()

    assert refuse(content) == (
        "t.csv: line 52 repeats line 9, so one row could be in both training and hold-out. Remove it, or give "
        "--drop-duplicates."
    )
    found = table.parse("t.csv", content, "y", None, drop_duplicates=True)
    assert (found.duplicates, found.data.rows, len(found.rows)) == (2, 50, 50)


def test_the_line_of_an_invalid_cell_counts_dropped_and_blank_lines() -> None:
    content = f"x,y\n{lines(50)}\n1,7\n1,dear\n1,\n".encode()

    with pytest.raises(InputError) as refused:
        table.parse("t.csv", content, "y", None, drop_duplicates=True)

    assert str(refused.value) == (
        "t.csv, line 54, column 'y': found \"dear\", wanted a finite number. There are 1 more such cells."
    )


def test_the_first_row_is_on_the_second_line() -> None:
    content = f"x,y\n1,dear\n{lines(50)}"

    assert refuse(content) == "t.csv, line 2, column 'y': found \"dear\", wanted a finite number."


def test_all_invalid_cells_are_counted() -> None:
    assert refuse(f"x,y\n{lines(50)}" + "".join(f"{row},dear\n" for row in range(25))).endswith(
        "wanted a finite number. There are 24 more such cells."
    )


def test_an_empty_cell_is_called_empty() -> None:
    assert refuse(f"x,y\n{lines(50)}1,\n") == "t.csv, line 52, column 'y': found an empty cell, wanted a finite number."


def test_a_file_is_read_with_the_description_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "homes.csv"
    path.write_text(f"\ufeffx,y\n{lines(50)}1,7\n", encoding="utf-8")
    path.with_suffix(".toml").write_text('[target]\nname = "y"\nunit = "€"\n[columns.x]\ntype = "integer"\n', "utf-8")

    found = table.read(path, "y", drop_duplicates=True)

    assert (found.data.source, found.duplicates) == ("homes.csv", 1)
    assert (found.target, found.features) == (Target("y", "€"), (Feature("x", "integer"),))
    with pytest.raises(InputError, match="line 52 repeats line 9"):
        table.read(path, "y")


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        table.read(tmp_path / "no.csv", "y")

    assert str(refused.value) == f"{tmp_path / 'no.csv'} cannot be read: No such file or directory."


def test_a_description_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "homes.toml").mkdir()

    with pytest.raises(InputError) as refused:
        Description.read_beside(tmp_path / "homes.csv")

    assert str(refused.value) == f"{tmp_path / 'homes.toml'} cannot be read: Is a directory."


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[target", "Expected ']' at the end of a table declaration (at end of document)"),
        ('target = {name = "y", unit = "m"}', "Object missing required field `columns`"),
        ('columns = {}\ntarget = {name = "y", unit = "\xe9"}'.encode("latin-1"), "'utf-8' codec can't decode"),
    ],
)
def test_a_malformed_description_is_named(text: str | bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "homes.toml").write_bytes(text if isinstance(text, bytes) else text.encode())

    with pytest.raises(InputError) as refused:
        Description.read_beside(tmp_path / "homes.csv")

    assert str(refused.value).startswith(f"homes.toml does not describe a table: {reason}")


def test_a_table_needs_no_description(tmp_path: Path) -> None:
    assert Description.read_beside(tmp_path / "homes.csv") is None


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ({"type": "number", "categories": ["a"]}, "a category column, and no other, lists its categories"),
        ({"type": "category"}, "a category column, and no other, lists its categories"),
        ({"type": "category", "categories": ["a", "b", "a"]}, "a category is listed twice"),
        ({"type": "number", "range": [2, 1]}, "range is [smallest, largest]"),
        ({"type": "number", "range": [1, math.nan]}, "range is [smallest, largest]"),
    ],
)
def test_a_column_that_contradicts_itself_is_refused(column: dict[str, object], words: str) -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert(column, Column)

    assert str(refused.value) == words


def test_a_range_can_be_one_value() -> None:
    assert Column("number", range=(1.0, 1.0)).range == (1.0, 1.0)


@pytest.mark.parametrize(
    ("names", "target", "sentence"),
    [
        (["a", "y"], "z", "The description names the target 'y', not 'z': change one of them."),
        (
            ["a", "b", "y"],
            "y",
            "Column 'b' is not in the description: describe it, or remove it from the table.",
        ),
        (["y"], "y", "The description has a column 'a' that is not a feature of the table: remove it."),
    ],
)
def test_a_description_and_its_table_must_match(names: list[str], target: str, sentence: str) -> None:
    with pytest.raises(InputError) as refused:
        Description(Target("y", None), {"a": Column("number")}).make_features(names, target)

    assert str(refused.value) == sentence


def test_the_target_cannot_be_a_feature() -> None:
    with pytest.raises(InputError, match="a column 'y' that is not a feature of the table"):
        Description(Target("y", None), {"y": Column("number")}).make_features(["a", "y"][1:], "y")
