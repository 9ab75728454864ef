from __future__ import annotations

from pathlib import Path

from training import houses, table

COMMITTED = Path(houses.__file__).parent / "data/houses.csv"


def test_the_generator_gives_the_committed_table() -> None:
    assert houses.generate().encode() == COMMITTED.read_bytes()


def test_the_committed_table_fits_its_description() -> None:
    checked = table.read(COMMITTED, "price")

    assert checked.matrix.shape == (10_000, 10)
    assert {feature.name for feature in checked.features if feature.missing} == {"condition", "year_built", "energy"}
    assert checked.gate.min_r2 > 0.5
