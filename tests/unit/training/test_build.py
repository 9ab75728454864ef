"""The card of a table whose model is worked out by hand, and from which part of the table each value comes."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import joblib
import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
import skl2onnx
import sklearn

from app.model import Data, Feature, Gate, Golden, Linear, Matrix, Split, Target, Term, Vector
from training import build, evaluation, table
from training.description import Description, InputError

ROWS = 60
SEED = 3
OPTIONS = build.Options("villa", "2.1.0", "onnx", SEED)
TRAINING, HOLD_OUT = (part.tolist() for part in evaluation.split(ROWS, SEED))


def make_description(columns: str) -> Description:
    text = f'target = {{name = "price", unit = "EUR"}}\ngate = {{min_r2 = 0.1}}\n{columns}'
    return msgspec.toml.decode(text, type=Description)


def parse(header: str, rows: list[str], description: Description | None = None) -> table.Table:
    return table.parse("homes.csv", "\n".join([header, *rows]).encode(), "price", description)


@pytest.fixture
def constant() -> build.Model:
    """A model of a constant feature; the target is 0, 0, 0, 20 and so on in training, and 19 in the hold-out."""
    y = {row: 20 if place % 4 == 3 else 0 for place, row in enumerate(TRAINING)}
    y |= dict.fromkeys(HOLD_OUT, 19)
    # `id` makes the rows differ; it is removed below.
    rows = [f"7,{y[row]},{row}" for row in range(ROWS)]
    checked = parse("x,price,id", rows)
    alone = replace(checked, features=checked.features[:1], rows=[one[:1] for one in checked.rows])
    return build.train(replace(alone, matrix=checked.matrix[:, :1]), OPTIONS)


def test_the_model_is_fitted_only_on_the_training_rows(constant: build.Model) -> None:
    # The mean of training; of all rows it is 7.8, of the hold-out 19.
    assert constant.pipeline.predict(np.array([[7.0]])).tolist() == [5.0]
    assert constant.card.golden == (Golden({"x": 7.0}, 5.0),) * 8
    assert constant.hold_out.tolist() == [[7.0]] * 12


def test_the_model_and_the_training_mean_are_scored_on_the_hold_out(constant: build.Model) -> None:
    assert constant.card.metrics.model.mae == 14.0
    assert constant.card.metrics.baseline.mae == 14.0


def test_the_interval_comes_from_the_folds_and_its_coverage_from_the_hold_out(constant: build.Model) -> None:
    interval = constant.card.interval

    # The residuals are near -5 and 15 in the folds, and 14 in the hold-out.
    assert interval.level == 0.9
    assert -7 < interval.lower < -4
    assert 14 < interval.upper < 18
    assert interval.coverage == 1.0
    assert constant.card.cross_validation.folds == 5
    assert 7 < constant.card.cross_validation.mae_mean < 8  # (36 x 5 + 12 x 15) / 48 is 7.5


def test_the_card_names_the_data_the_file_and_the_libraries(constant: build.Model) -> None:
    card = constant.card

    assert (card.name, card.version, card.format, card.agreement) == ("villa", "2.1.0", "onnx", 0.0)
    assert card.sha256 == hashlib.sha256(constant.content).hexdigest()
    assert onnx.load_model_from_string(constant.content).graph.name == "pipeline"
    assert card.linear == Linear(5.0, (Term(),))
    assert card.split == Split(0.2, SEED, 48, 12)
    assert (card.data.source, card.data.rows) == ("homes.csv", ROWS)
    assert (card.target, card.gate) == (Target("price", None), Gate())
    assert card.runtime == {"numpy": np.__version__, "onnxruntime": onnxruntime.__version__}
    assert card.training == {
        "onnx": onnx.__version__,
        "scikit-learn": sklearn.__version__,
        "skl2onnx": skl2onnx.__version__,
    }


def test_the_seed_determines_the_split_and_the_folds() -> None:
    rows = [f"{row},{row * row}" for row in range(ROWS)]
    checked = parse("x,price", rows)

    for seed in (3, 4):
        model = build.train(checked, replace(OPTIONS, seed=seed))
        assert model.card.split.seed == seed
        assert model.hold_out.ravel().tolist() == evaluation.split(ROWS, seed)[1].tolist()
    first, again, other = (build.train(checked, replace(OPTIONS, seed=seed)).card for seed in (3, 3, 4))
    assert first == again
    assert first.cross_validation != other.cross_validation


def test_the_range_and_the_typical_value_come_from_the_training_rows() -> None:
    description = make_description(
        '[columns.size]\ntype = "number"\nmissing = true\nunit = "m2"\n'
        '[columns.kind]\ntype = "category"\ncategories = ["flat", "house"]\nmissing = true\n'
    )
    place = {row: number for number, row in enumerate(TRAINING)}
    rows = []
    for row in range(ROWS):
        if row in place:  # 1 to 47, with the median 24, and one empty cell; 26 houses, 21 flats, one empty cell
            number = place[row]
            size, kind = (number or ""), "house" if number < 26 else "flat" if number < 47 else ""
        else:  # 12 flats, so that most of all rows are flats; larger and smaller than any in training
            size, kind = 1000 + row if row % 2 else -row - 1, "flat"
        rows.append(f"{size},{kind},{row}")

    card = build.train(parse("size,kind,price", rows, description), OPTIONS).card

    assert card.features == (
        Feature("size", "number", unit="m2", missing=True, seen=(1.0, 47.0), typical=24.0),
        Feature("kind", "category", categories=("flat", "house"), missing=True, typical="house"),
    )


def test_a_column_without_values_in_the_training_rows_is_refused() -> None:
    rows = [f"{row},{row if row in HOLD_OUT else ''},{row}" for row in range(ROWS)]

    with pytest.raises(InputError, match=r"^Column 'size' has no values in the training rows: remove it\.$"):
        build.train(parse("x,size,price", rows), OPTIONS)


def test_golden_rows_are_spread_over_the_hold_out() -> None:
    rows = [f"{row},{row / 7}" for row in range(ROWS)]

    card = build.train(parse("x,price", rows), OPTIONS).card

    # Eight of twelve.
    wanted = [HOLD_OUT[place] for place in (0, 1, 3, 4, 6, 7, 9, 10)]
    assert [golden.features for golden in card.golden] == [{"x": float(row)} for row in wanted]


def test_there_are_golden_rows_for_every_category_and_a_missing_value() -> None:
    kinds = tuple("abcdefghi")
    names = ", ".join(f'"{kind}"' for kind in kinds)
    description = make_description(
        f'[columns.kind]\ntype = "category"\ncategories = [{names}]\nmissing = true\n'
        '[columns.size]\ntype = "number"\nmissing = true\n[columns.x]\ntype = "number"\n'
    )
    rows = [f"{kinds[row % 9]},{row + 0.5},{row},{row}" for row in range(ROWS)]

    card = build.train(parse("kind,size,x,price", rows, description), OPTIONS).card

    spread = [float(HOLD_OUT[place * 12 // 10]) for place in range(10)]
    assert [golden.features["kind"] for golden in card.golden] == [*kinds, None]
    assert [golden.features["size"] for golden in card.golden] == [None, *(row + 0.5 for row in spread[1:])]
    assert [golden.features["x"] for golden in card.golden] == spread


def test_golden_predictions_are_rounded_to_twelve_digits() -> None:
    rows = [f"{row},{row / 7}" for row in range(ROWS)]

    model = build.train(parse("x,price", rows), OPTIONS)

    predictions = model.pipeline.predict(np.array([[golden.features["x"]] for golden in model.card.golden]))
    assert [golden.prediction for golden in model.card.golden] == [float(f"{value:.12g}") for value in predictions]


@pytest.fixture(scope="module")
def large() -> build.Model:
    """A model with predictions so large that small differences are tolerated, and a file that predicts the same."""
    checked = parse("x,price", [f"{row},{row}e8" for row in range(ROWS)])
    return build.train(checked, replace(OPTIONS, format="joblib"))


@dataclass
class Shifted:
    """A pipeline whose prediction of one hold-out row is shifted."""

    pipeline: Any
    shift: float

    def predict(self, matrix: Matrix) -> Vector:
        predictions: Vector = self.pipeline.predict(matrix)
        predictions[2] -= self.shift
        return predictions


@pytest.mark.parametrize(("shift", "agreement"), [(0.0, 0.0), (0.25, 1.0), (0.0625, 0.1), (-0.0625, 0.1), (2.0, 10.0)])
def test_the_agreement_is_rounded_up_to_a_power_of_ten(
    shift: float, agreement: float, large: build.Model, tmp_path: Path
) -> None:
    unsummed = msgspec.structs.replace(large.card, linear=None)

    written = build.write(replace(large, card=unsummed, pipeline=Shifted(large.pipeline, shift)), tmp_path / "model")

    assert written.agreement == agreement
    assert type(written).read(tmp_path / "model/card.json") == written


def test_a_file_that_disagrees_is_not_written(large: build.Model, tmp_path: Path) -> None:
    with pytest.raises(build.BuildError, match=r"^The written file disagrees with the fitted pipeline by up to 16\.$"):
        build.write(replace(large, pipeline=Shifted(large.pipeline, 16.0)), tmp_path / "model")

    assert list(tmp_path.iterdir()) == []


def test_a_model_that_the_service_would_refuse_is_not_written(large: build.Model, tmp_path: Path) -> None:
    other = msgspec.structs.replace(large.card, sha256="0" * 64)

    with pytest.raises(build.BuildError, match=r"^The service would refuse the written files: .*altered\.$"):
        build.write(replace(large, card=other), tmp_path / "model")

    assert list(tmp_path.iterdir()) == []


def test_the_joblib_file_is_the_pipeline(tmp_path: Path) -> None:
    checked = parse("x,price", [f"{row},{row / 7}" for row in range(ROWS)])
    model = build.train(checked, replace(OPTIONS, format="joblib"))

    card = build.write(model, tmp_path / "model")

    assert card.format == "joblib"
    assert card.runtime == {
        "joblib": joblib.__version__,
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
    }
    loaded = joblib.load(tmp_path / "model/model.joblib")
    assert loaded.predict(model.hold_out).tolist() == model.pipeline.predict(model.hold_out).tolist()


def test_a_model_directory_is_replaced_by_a_rename(
    large: build.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "of another file system"))
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "deep/er/model"

    build.write(large, out)
    build.write(large, out)

    assert sorted(path.name for path in out.iterdir()) == ["card.json", "model.joblib"]
    assert list(out.parent.iterdir()) == [out]
    assert list(tmp_path.iterdir()) == [tmp_path / "deep"]


def test_an_empty_directory_is_replaced(large: build.Model, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()

    build.write(large, tmp_path / "model")

    assert (tmp_path / "model/card.json").exists()


@pytest.mark.parametrize(
    ("names", "first"), [(["b.txt", "a.txt", "card.json"], "a.txt"), (["model.skops"], "model.skops")]
)
def test_a_directory_with_other_files_is_not_replaced(
    names: list[str], first: str, large: build.Model, tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / name).touch()

    with pytest.raises(InputError) as refused:
        build.write(large, tmp_path)

    assert str(refused.value) == (
        f"{tmp_path} contains other files ({first}): give --out a new directory or a model directory."
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_a_file_is_not_replaced(large: build.Model, tmp_path: Path) -> None:
    out = tmp_path / "thesis"
    out.write_text("all of it")

    with pytest.raises(InputError, match=r"thesis contains other files \(thesis\)"):
        build.write(large, out)

    assert out.read_text() == "all of it"


def test_a_path_that_cannot_be_written_is_named(large: build.Model, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(InputError) as refused:
        build.write(large, tmp_path / "file/model")

    assert str(refused.value) == f"{tmp_path}/file/model cannot be written: File exists."


def test_the_card_has_the_digest_of_the_data() -> None:
    content = "\n".join(["x,price", *(f"{row},{row}" for row in range(ROWS))]).encode()

    card = build.train(table.parse("homes.csv", content, "price", None), OPTIONS).card

    assert card.data == Data("homes.csv", hashlib.sha256(content).hexdigest(), ROWS)
