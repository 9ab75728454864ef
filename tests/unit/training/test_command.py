"""`python -m training`, from a valid table to a model directory."""

from __future__ import annotations

import csv
import os
import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import URLError

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from sklearn.pipeline import Pipeline

from app.model import Card, Predictor
from training import build, california
from training.__main__ import main
from training.export import to_onnx

ROOT = Path(__file__).parents[3]


def train(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_the_command_reports_its_steps(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep/model"

    result = train("--data", table, "--target", "price", "--out", out, "--name", "villa", "--version", "2.1.0")

    assert result.exit_code == 0
    for text in ("600 rows, 10 features", "480 training, 120 hold-out", "baseline", "gate", "passed", str(out)):
        assert text in result.stdout
    assert sorted(contents(out)) == ["card.json", "model.onnx"]
    card = Card.read(out / "card.json")
    assert (card.name, card.version) == ("villa", "2.1.0")
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize("form", ["onnx", "joblib"])
def test_the_same_table_gives_the_same_files_from_anywhere(
    form: str, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)

    result = train("--data", table, "--target", "price", "--out", "elsewhere", "--format", form)

    assert result.exit_code == 0
    assert contents(Path("elsewhere")) == contents(request.getfixturevalue(f"{form}_dir"))


def test_the_same_table_gives_the_same_files_under_any_hash_seed(table: Path, onnx_dir: Path, tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "training", "--data", str(table), "--target", "price", "--out"]
    # 30 reversed a set inside skl2onnx once. Side by side, because starting takes most of the time.
    runs = [
        subprocess.Popen([*arguments, str(tmp_path / seed)], env={**os.environ, "PYTHONHASHSEED": seed}, cwd=ROOT)
        for seed in ("1", "30")
    ]

    assert [run.wait() for run in runs] == [0, 0]
    for model in tmp_path.iterdir():
        assert contents(model) == contents(onnx_dir)


def test_both_formats_predict_the_same(onnx_dir: Path, joblib_dir: Path) -> None:
    onnx, joblib = Predictor.load(onnx_dir), Predictor.load(joblib_dir)
    matrix = onnx.schema.encode([golden.features for golden in onnx.card.golden])

    np.testing.assert_allclose(onnx.predict(matrix), joblib.predict(matrix), rtol=1e-9)


def test_the_card_has_the_scores(card: Card) -> None:
    assert card.metrics.model.mae < card.metrics.baseline.mae / 2
    assert card.metrics.model.r2 > 0.8
    assert card.interval.lower < 0 < card.interval.upper
    assert 0 <= card.agreement < 1e-6
    assert card.data.rows == card.split.training_rows + card.split.hold_out_rows == 600


def test_golden_rows_have_every_category_and_every_missing_value(card: Card) -> None:
    assert len(card.golden) >= 8
    for feature in card.features:
        values = {golden.features[feature.name] for golden in card.golden}
        assert values >= set(feature.categories)
        assert not feature.missing or None in values


def test_an_old_model_directory_is_replaced(table: Path, onnx_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.joblib").touch()

    assert train("--data", table, "--target", "price", "--out", tmp_path / "model").exit_code == 0
    assert contents(tmp_path / "model") == contents(onnx_dir)


def test_any_other_directory_is_not_replaced(table: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()

    result = train("--data", table, "--target", "price", "--out", tmp_path)

    assert result.exit_code == 2
    assert "thesis.txt" in result.stderr
    assert list(tmp_path.iterdir()) == [tmp_path / "thesis.txt"]


def test_a_shuffled_target_fails_the_gate(table: Path, tmp_path: Path) -> None:
    rows = list(csv.reader(table.read_text(encoding="utf-8").splitlines()))
    prices = [row[-1] for row in rows[1:]]
    random.Random(1).shuffle(prices)  # noqa: S311
    shuffled = tmp_path / "houses.csv"
    with shuffled.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [rows[0], *([*row[:-1], price] for row, price in zip(rows[1:], prices, strict=True))]
        )

    result = train("--data", shuffled, "--target", "price", "--out", tmp_path / "model")

    assert result.exit_code == 1
    assert "Gate failed: R2 on the hold-out is" in result.stderr
    assert not (tmp_path / "model").exists()


def test_a_gate_in_the_description_applies(table: Path, tmp_path: Path) -> None:
    strict = tmp_path / "houses.csv"
    strict.write_bytes(table.read_bytes())
    description = table.with_suffix(".toml").read_text(encoding="utf-8")
    strict.with_suffix(".toml").write_text(f"{description}\n[gate]\nmax_mae_ratio = 0.01\n", encoding="utf-8")

    result = train("--data", strict, "--target", "price", "--out", tmp_path / "model")

    assert result.exit_code == 1
    assert "above 0.01 of the baseline's" in result.stderr


def test_a_perturbed_coefficient_fails_the_agreement(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def perturbed(pipeline: Pipeline, width: int) -> bytes:
        model = onnx.load_model_from_string(to_onnx(pipeline, width))
        coefficients = next(tensor for tensor in model.graph.initializer if tensor.name == "coef")
        values = onnx.numpy_helper.to_array(coefficients).copy()
        values.flat[-1] *= 1.0001
        coefficients.CopyFrom(onnx.numpy_helper.from_array(values, coefficients.name))
        content: bytes = model.SerializeToString()
        return content

    monkeypatch.setattr(build, "to_onnx", perturbed)
    result = train("--data", table, "--target", "price", "--out", tmp_path / "model")

    assert result.exit_code == 1
    assert "golden row" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("way", [0, 1], ids=["the file", "the sum"])
def test_a_disagreement_outside_the_golden_rows_is_found(
    way: int, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Drifting(Predictor):
        def predict_every_way(self, matrix: Any) -> Any:
            predictions = super().predict_every_way(matrix)
            if len(matrix) > len(self.card.golden):
                predictions[way][-1] += 0.01
            return predictions

    monkeypatch.setattr(build, "Predictor", Drifting)
    result = train("--data", table, "--target", "price", "--out", tmp_path / "model")

    assert result.exit_code == 1
    assert "disagrees with the fitted pipeline by up to 0.01" in result.stderr


def test_a_table_without_a_description_is_inferred(table: Path, tmp_path: Path) -> None:
    bare = tmp_path / "mine.csv"
    bare.write_text(f"\ufeff{table.read_text(encoding='utf-8')}\n\n", encoding="utf-8")

    assert train("--data", bare, "--target", "price", "--out", tmp_path / "model").exit_code == 0
    features = {feature.name: feature for feature in Card.read(tmp_path / "model/card.json").features}
    assert list(features)[:4] == ["city", "building", "condition", "area"]
    assert features["city"].categories[:2] == ("Amsterdam", "Berlin")
    assert (features["energy"].type, features["energy"].missing, features["energy"].range) == ("number", True, None)
    assert features["area"].missing is False


def test_one_number_is_enough_to_train_on(tmp_path: Path) -> None:
    table = tmp_path / "line.csv"
    noise = random.Random(0)  # noqa: S311 - to be repeated, not to be secret
    rows = [f"{x / 7},{x / 3 + noise.gauss(0, 10):.3f}\n" for x in range(300)]
    table.write_text("x,y\n" + "".join(rows))

    result = train("--data", table, "--target", "y", "--out", tmp_path / "model")

    assert result.exit_code == 0, result.output


def test_duplicates_can_be_dropped(table: Path, tmp_path: Path) -> None:
    twice = tmp_path / "houses.csv"
    lines = table.read_text(encoding="utf-8").splitlines(keepends=True)
    twice.write_text("".join([*lines, lines[1], lines[2]]), encoding="utf-8")

    result = train("--data", twice, "--target", "price", "--out", tmp_path / "model", "--drop-duplicates")

    assert result.exit_code == 0
    assert "600 rows, 10 features, 2 duplicates dropped" in result.stdout


def test_california_without_a_network_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable() -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(california, "fetch_california_housing", unreachable)
    result = train("--data", "california", "--out", tmp_path / "model")

    assert result.exit_code == 2
    assert "cannot be downloaded" in result.stderr


def test_california_is_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    data = rng.random((300, 2))
    bunch = SimpleNamespace(data=data, target=data @ [2.0, 1.0] + rng.random(300) / 10, feature_names=["MedInc", "Age"])
    monkeypatch.setattr(california, "fetch_california_housing", lambda: bunch)

    assert train("--data", "california", "--out", tmp_path / "model").exit_code == 0
    card = Card.read(tmp_path / "model/card.json")
    assert card.target.name == "MedHouseVal"
    assert [feature.name for feature in card.features] == ["MedInc", "Age"]
