"""The page of `./ship bench`: comparisons, and targets that are reached or missed."""

from pathlib import Path

import pytest

from scripts.artifacts import Built
from scripts.bench import report
from scripts.bench.contenders import Contender, choose
from scripts.bench.growth import Batch, Start
from scripts.bench.load import Load
from scripts.bench.server import Golden
from scripts.errors import Failure
from scripts.grammar import Column, Digest, Name, RelativePath, Version, WorkTree
from scripts.page import END

PAGE = f"# Benchmarks\n\nWhy.\n\n{report.BEGIN}\n\nold figures\n\n{END}\n\nMore.\n"


def load(pace: float, p99: float = 4) -> Load:
    return Load(pace, p99 / 2, p99, 1e6 / pace)


@pytest.fixture
def measured() -> report.Measured:
    contenders = [*choose(everyone=False)]
    loads = {one.key: [load(1_000)] * 3 for one in contenders}
    loads |= {"ours": [load(9_000), load(10_000), load(500)], "fastapi": [load(900, 50), load(500, 50), load(25, 50)]}
    return report.Measured(
        command="./ship bench",
        wrk="wrk 4.1.0",
        image=Built(
            Digest("sha256:" + "7c" * 32),
            {},
            65_000_000,
            Version("1.0.0"),
            WorkTree("ab" * 20),
            "onnx",
            "base",
            WorkTree("ab" * 20),
            Name("house-price"),
            RelativePath("houses.csv"),
            Column("price"),
        ),
        absent={"BentoML": "its packages could not be installed"},
        contenders=contenders,
        loads=loads,
        memory=dict.fromkeys(loads, 100.0),
        starts={"ours": Start(0.5, 0.4), "fastapi": Start(2.0, 1.9)},
        rows=[Batch(1, 1_000, 1, 60), Batch(100_000, 150_000, 667, 200)],
        connections={1: load(4_000)},
        workers={1: load(5_000), 2: load(9_000)},
        profile={"predict": 3.4},
    )


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    page = tmp_path / "benchmarks.md"
    page.write_text(PAGE)
    monkeypatch.setattr(report, "PAGE", page)
    monkeypatch.setattr(report, "output", lambda *_command: "26.1.5")
    return page


def test_the_page_changes_only_between_its_markers(measured: report.Measured, page: Path) -> None:
    written = report.write(measured)

    text = page.read_text()
    assert written == "8 of 9 targets reached"
    assert text.startswith(PAGE.partition(report.BEGIN)[0])
    assert text.endswith(PAGE.partition(END)[2])
    assert "old figures" not in text
    assert "Not measured: BentoML, its packages could not be installed." in text


def test_a_ratio_is_the_median_of_the_rounds_ratios(measured: report.Measured, page: Path) -> None:
    report.write(measured)

    # 9,000 to 900, 10,000 to 500, 500 to 25: a round in which all were slow counts as much as the others.
    assert "| requests/s, to FastAPI's | 10 x | 20 x | 20 x | both reached |" in page.read_text()


def test_a_missed_target_is_called_missed(measured: report.Measured, page: Path) -> None:
    report.write(measured)

    assert "| 200,000 rows/s | 500,000 rows/s | 150,000 rows/s | missed |" in page.read_text()


@pytest.mark.parametrize("text", ["# Benchmarks\n", f"{report.BEGIN}\n{report.BEGIN}\n{END}\n"])
def test_a_page_without_its_markers_is_left_alone(text: str, measured: report.Measured, page: Path) -> None:
    page.write_text(text)

    with pytest.raises(Failure, match=r"benchmarks\.md must have one line"):
        report.write(measured)

    assert page.read_text() == text


@pytest.mark.parametrize(("found", "right"), [(100_000.0, True), (100_000.01, True), (100_001.0, False)])
def test_an_answer_may_differ_in_the_last_digits(found: float, right: bool) -> None:  # noqa: FBT001
    assert Golden({}, 100_000.0).fits(found) is right


@pytest.mark.parametrize("one", choose(everyone=True), ids=lambda one: one.key)
def test_every_peer_has_its_versions_locked(one: Contender) -> None:
    assert one.versions.count(",") == max(len(one.packages) - 1, 0)
