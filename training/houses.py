"""Makes the example table: synthetic house prices, the same bytes for the same seed.

python -m training.houses --out training/data/houses.csv
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

Column = npt.NDArray[np.float64]

ROWS = 10_000
SEED = 20261120

# Base price of a dwelling in EUR, and the price of each square metre.
CITIES = {
    "Amsterdam": (165_000, 3_900),
    "Berlin": (120_000, 3_500),
    "Brussels": (85_000, 2_700),
    "Dublin": (130_000, 3_400),
    "Lisbon": (95_000, 3_100),
    "Madrid": (90_000, 3_000),
    "Vienna": (125_000, 3_500),
    "Warsaw": (60_000, 2_600),
}
# Share of the market, typical living area in m2, surcharge over an apartment in EUR.
BUILDINGS = {
    "apartment": (0.52, 72.0, 0),
    "terraced": (0.24, 112.0, 18_000),
    "semi-detached": (0.13, 132.0, 34_000),
    "detached": (0.11, 164.0, 62_000),
}
CONDITIONS = {"to renovate": -48_000, "dated": -21_000, "good": 0, "renovated": 24_000}


def generate(seed: int = SEED, rows: int = ROWS) -> str:
    """Return the table as CSV text: a header and `rows` lines."""
    rng = np.random.default_rng(seed)
    city = rng.integers(len(CITIES), size=rows)
    building = rng.choice(len(BUILDINGS), size=rows, p=[share for share, _, _ in BUILDINGS.values()])
    house = building > 0

    typical = np.array([size for _, size, _ in BUILDINGS.values()])[building]
    area = np.clip(typical * np.exp(0.28 * rng.standard_normal(rows)), 22, 390).round(1)
    rooms = np.clip((area / 27 + 0.7 * rng.standard_normal(rows)).round(), 1, 12)
    bathrooms = np.clip((0.5 + area / 85 + 0.35 * rng.standard_normal(rows)).round(), 1, 5)
    plot = np.where(house, np.clip(area * (0.9 + building + 0.6 * rng.standard_normal(rows)), 45, 1500), 0).round()
    built = np.clip((2024 - rng.gamma(2.2, 24, rows)).round(), 1870, 2025)
    distance = np.clip(rng.gamma(2.0, 2.6, rows) + 1.8 * house, 0.2, 40).round(1)
    condition = np.clip((1.2 + (built - 1960) / 45 + rng.standard_normal(rows)).round(), 0, 3).astype(int)
    energy = np.clip(290 - 1.9 * (built - 1930) - 14 * condition + 38 * rng.standard_normal(rows), 18, 480).round()

    level, per_metre = np.array(list(CITIES.values()), dtype=float)[city].T
    price = (
        level
        + per_metre * area
        + 6_500 * rooms
        + 11_000 * bathrooms
        + 95 * plot
        + 260 * (built - 1960)
        - 7_400 * distance
        - 240 * energy
        + np.array([extra for _, _, extra in BUILDINGS.values()])[building]
        + np.array(list(CONDITIONS.values()))[condition]
    )
    price = np.maximum(price * (1 + 0.09 * rng.standard_normal(rows)) + 34_000 * rng.standard_normal(rows), 38_000)

    return _format_csv(
        {
            "city": [list(CITIES)[code] for code in city],
            "building": [list(BUILDINGS)[code] for code in building],
            "condition": _blank([list(CONDITIONS)[code] for code in condition], rng.random(rows) < 0.03),
            "area": _format_decimals(area),
            "rooms": _format_whole(rooms),
            "bathrooms": _format_whole(bathrooms),
            "plot": _format_whole(plot),
            "year_built": _blank(_format_whole(built), rng.random(rows) < 0.04),
            "distance": _format_decimals(distance),
            "energy": _blank(_format_whole(energy), rng.random(rows) < 0.09),
            "price": _format_whole(price.round(-2)),
        }
    )


def _format_decimals(column: Column) -> list[str]:
    return [f"{value:.1f}" for value in column]


def _format_whole(column: Column) -> list[str]:
    return [f"{value:.0f}" for value in column]


def _blank(cells: list[str], missing: npt.NDArray[np.bool_]) -> list[str]:
    return ["" if blank else cell for cell, blank in zip(cells, missing, strict=True)]


def _format_csv(columns: dict[str, list[str]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


@click.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="CSV file to write.")
def main(out: Path) -> None:
    """Write the synthetic table of house prices."""
    out.write_text(generate(), encoding="utf-8", newline="")


if __name__ == "__main__":
    main()
