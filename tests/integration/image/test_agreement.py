"""The predictions of the image for the hold-out, compared with those of scikit-learn."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import requests
from sklearn.model_selection import train_test_split

from tests.integration.program import ROOT
from tests.integration.service import Service

# What the image was made from; its description lies beside it.
DATA = Path(os.environ.get("TABLE", ROOT / "training/data/houses.csv"))


@dataclass(frozen=True)
class HoldOut:
    """The rows by name, and scikit-learn's predictions for them; `card` describes that model."""

    card: dict[str, Any]
    rows: list[dict[str, Any]]
    wanted: list[float]


@pytest.fixture(scope="module")
def hold_out(service: Service, tmp_path_factory: pytest.TempPathFactory) -> HoldOut:
    """Trained here like the model in the image, but kept as a pipeline; encoded by the card, not by the app."""
    directory = tmp_path_factory.mktemp("joblib") / "model"
    served = service.card
    command = [sys.executable, "-m", "training", "--data", str(DATA), "--target", served["target"]["name"]]
    options = ["--name", served["name"], "--format", "joblib", "--out", str(directory)]
    subprocess.run([*command, *options], cwd=ROOT, check=True, capture_output=True)
    card = json.loads((directory / "card.json").read_bytes())
    table = read(DATA, card)
    split = card["split"]
    _, places = train_test_split(np.arange(len(table)), test_size=split["hold_out"], random_state=split["seed"])
    rows = [table[place] for place in places]
    prediction = joblib.load(directory / "model.joblib").predict(np.array([encoded(row, card) for row in rows]))
    return HoldOut(card, rows, prediction.tolist())


def read(path: Path, card: dict[str, Any]) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [{one["name"]: typed(row[one["name"]], one) for one in card["features"]} for row in csv.DictReader(file)]


def typed(cell: str, feature: dict[str, Any]) -> str | float | None:
    if not cell:
        return None
    return cell if feature["type"] == "category" else float(cell)


def encoded(row: dict[str, Any], card: dict[str, Any]) -> list[float]:
    """Encode by the rules of the card: numbers unchanged, categories as their index, missing values as NaN."""
    return [number(row[feature["name"]], feature) for feature in card["features"]]


def number(value: str | float | None, feature: dict[str, Any]) -> float:
    if value is None:
        return float("nan")
    return float(feature["categories"].index(value) if feature["type"] == "category" else value)


def test_it_is_the_same_model(service: Service, hold_out: HoldOut) -> None:
    parts = ("name", "features", "data", "split", "metrics", "golden")

    assert {part: service.card[part] for part in parts} == {part: hold_out.card[part] for part in parts}
    assert len(hold_out.rows) == service.card["split"]["hold_out_rows"]


def test_all_rows_at_once(service: Service, hold_out: HoldOut) -> None:
    found = service.predict(hold_out.rows).json()["prediction"]

    assert furthest(found, hold_out) <= promised(service, hold_out)


def test_each_row_alone(service: Service, hold_out: HoldOut) -> None:
    with requests.Session() as session:
        found = [
            session.post(f"{service.url}/predict", json={"features": row}, timeout=10).json()["prediction"][0]
            for row in hold_out.rows
        ]

    assert furthest(found, hold_out) <= promised(service, hold_out)


def furthest(found: list[float], hold_out: HoldOut) -> float:
    return max(abs(one - other) for one, other in zip(found, hold_out.wanted, strict=True))


def promised(service: Service, hold_out: HoldOut) -> float:
    """The agreement on the card in the unit of the target, plus a last digit, since processors round differently."""
    return float(service.card["agreement"] + np.spacing(max(hold_out.wanted)))
