"""A model directory that does not match its card must not be served."""

from __future__ import annotations

import hashlib
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import joblib
import msgspec
import numpy as np
import onnxruntime
import pytest
import sklearn
from sklearn.dummy import DummyRegressor

from app import problem
from app.__main__ import main
from app.model import (
    Card,
    Feature,
    Finding,
    Format,
    Linear,
    ModelError,
    PredictionError,
    Predictor,
    Schema,
    Term,
    find_runtime_versions,
    measure_disagreement,
)


@pytest.fixture
def copy(onnx_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(onnx_dir, tmp_path / "model"))


def change_card(directory: Path, **fields: object) -> None:
    card = Card.read(directory / "card.json")
    msgspec.structs.replace(card, **fields).write(directory / "card.json")


def test_an_altered_model_file_is_refused(copy: Path) -> None:
    content = bytearray((copy / "model.onnx").read_bytes())
    content[-1] ^= 1
    (copy / "model.onnx").write_bytes(content)

    with pytest.raises(ModelError, match=r"model\.onnx has sha256 .* as on its card"):
        Predictor.load(copy)


def test_a_golden_row_with_another_prediction_is_refused(copy: Path, card: Card) -> None:
    golden = [*card.golden]
    golden[3] = msgspec.structs.replace(golden[3], prediction=golden[3].prediction * 1.000001)
    change_card(copy, golden=tuple(golden))

    with pytest.raises(ModelError, match="prediction of golden row 3 is"):
        Predictor.load(copy)


def test_golden_rows_of_another_model_are_refused(copy: Path, card: Card) -> None:
    change_card(copy, features=card.features[1:])

    with pytest.raises(ModelError, match="golden rows of the card cannot be predicted"):
        Predictor.load(copy)


@pytest.mark.parametrize("form", ["onnx", "joblib"])
def test_another_version_of_a_library_is_refused(form: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    directory = Path(shutil.copytree(request.getfixturevalue(f"{form}_dir"), tmp_path / "model"))
    change_card(directory, runtime={"numpy": "1.0.0"})

    with pytest.raises(ModelError, match=rf"checked with numpy 1\.0\.0, but {re.escape(np.__version__)} is installed"):
        Predictor.load(directory)


def test_a_sum_with_another_prediction_is_refused(copy: Path, card: Card) -> None:
    assert card.linear
    change_card(copy, linear=msgspec.structs.replace(card.linear, intercept=card.linear.intercept * 1.000001))

    with pytest.raises(ModelError, match=r"prediction of golden row \d is"):
        Predictor.load(copy)


@pytest.mark.parametrize("terms", [0, 9])
def test_a_sum_of_another_model_is_refused(terms: int, copy: Path, card: Card) -> None:
    assert card.linear
    change_card(copy, linear=msgspec.structs.replace(card.linear, terms=card.linear.terms[:terms]))

    with pytest.raises(ModelError, match="golden rows of the card cannot be predicted"):
        Predictor.load(copy)


def test_a_model_without_a_sum_is_served(copy: Path, card: Card) -> None:
    change_card(copy, linear=None)
    rows = [golden.features for golden in card.golden]

    predictor = Predictor.load(copy)

    assert predictor.predict(predictor.schema.encode(rows[:1])) == pytest.approx([card.golden[0].prediction], rel=1e-9)


def test_few_rows_and_many_get_the_same_predictions(predictor: Predictor) -> None:
    matrix = predictor.schema.encode([golden.features for golden in predictor.card.golden] * 10)

    alone = [predictor.predict(matrix[row : row + 1])[0] for row in range(len(matrix))]

    assert predictor.predict(matrix) == pytest.approx(alone, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("card.json", None, "card.json cannot be read: No such file"),
        ("model.onnx", None, "model.onnx cannot be read: No such file"),
        ("card.json", b"{}", "card.json is not a model card: .*missing required field"),
        ("card.json", b"\xff", "card.json is not a model card"),
    ],
)
def test_a_missing_or_damaged_file_is_named(name: str, content: bytes | None, words: str, copy: Path) -> None:
    (copy / name).unlink()
    if content is not None:
        (copy / name).write_bytes(content)

    with pytest.raises(ModelError, match=words):
        Predictor.load(copy)


def test_a_failed_start_gives_its_reason_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_DIR", str(tmp_path / "none"))

    assert main([]) == (
        f"Not started: {tmp_path}/none/card.json cannot be read: No such file or directory. "
        "Set MODEL_DIR to a directory that training made with these libraries."
    )


def test_a_prediction_that_is_not_finite_is_a_422_that_names_the_row(predictor: Predictor) -> None:
    matrix = Schema(predictor.card.features).encode([predictor.card.golden[0].features] * 2)
    matrix[1, 3] = 1e308

    with np.errstate(over="ignore"), pytest.raises(PredictionError) as caught:
        predictor.predict(matrix)

    assert caught.value.findings[0].row == 1
    assert problem.handle_error(caught.value).status == 422


def test_the_onnx_path_loads_neither_scikit_learn_nor_pandas_nor_flask(onnx_dir: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from app.model import Predictor; Predictor.load(Path(sys.argv[1]));"
        "print([name for name in ('sklearn', 'joblib', 'scipy', 'pandas', 'flask') if name in sys.modules])"
    )
    root = Path(__file__).parents[3]

    loaded = subprocess.run(
        [sys.executable, "-c", program, onnx_dir], cwd=root, check=True, capture_output=True, text=True
    )

    assert loaded.stdout.strip() == "[]"


def test_a_model_that_gives_no_number_is_not_served(joblib_dir: Path, tmp_path: Path) -> None:
    """NaN is neither near the prediction of a golden row nor far from it."""
    copy = Path(shutil.copytree(joblib_dir, tmp_path / "model"))
    nothing = DummyRegressor(strategy="constant", constant=1.0).fit([[0.0]], [1.0])
    nothing.constant_ = np.array([[math.nan]])
    joblib.dump(nothing, copy / "model.joblib")
    change_card(copy, sha256=hashlib.sha256((copy / "model.joblib").read_bytes()).hexdigest())

    with pytest.raises(ModelError, match=r"^the prediction of golden row 0 is nan, not [\d.]+ as on the card$"):
        Predictor.load(copy)


def test_a_model_file_that_cannot_be_loaded_is_refused(copy: Path) -> None:
    (copy / "model.onnx").write_bytes(b"no graph")
    change_card(copy, sha256=hashlib.sha256(b"no graph").hexdigest())

    with pytest.raises(ModelError, match=r"model\.onnx cannot be loaded: .*INVALID_PROTOBUF"):
        Predictor.load(copy)


def test_a_missing_library_is_named(joblib_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "joblib", None)

    with pytest.raises(ModelError, match=r"^a joblib model needs joblib, which is not installed$"):
        Predictor.load(joblib_dir)


def test_a_card_that_requires_an_unknown_library_is_refused(copy: Path) -> None:
    change_card(copy, runtime={"torch": "3.0"})

    with pytest.raises(ModelError, match=r"^the model was checked with torch 3\.0, but None is installed$"):
        Predictor.load(copy)


@pytest.mark.parametrize(
    ("form", "libraries"),
    [
        ("onnx", {"numpy": np.__version__, "onnxruntime": onnxruntime.__version__}),
        (
            "joblib",
            {"joblib": joblib.__version__, "numpy": np.__version__, "scikit-learn": sklearn.__version__},
        ),
    ],
)
def test_each_format_needs_its_own_libraries(form: Format, libraries: dict[str, str]) -> None:
    assert find_runtime_versions(form) == libraries


def test_the_telemetry_of_onnx_runtime_is_off(onnx_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")

    Predictor.load(onnx_dir)

    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_a_loaded_model_has_no_threads(onnx_dir: Path) -> None:
    def threads() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    first = Predictor.load(onnx_dir)
    before = threads()
    second = Predictor.load(onnx_dir)

    assert (threads(), first.card) == (before, second.card)


def make_sum_and_file(card: Card) -> Predictor:
    """A model that predicts 1 with its sum, and 2 with its file."""
    one = Feature("x", "number")
    alone = msgspec.structs.replace(card, features=(one,), linear=Linear(1.0, (Term(),)))
    return Predictor(alone, Schema([one]), lambda matrix: np.full(len(matrix), 2.0))


@pytest.mark.parametrize(("rows", "predicted"), [(1, 1.0), (16, 1.0), (17, 2.0)])
def test_up_to_sixteen_rows_use_the_sum(rows: int, predicted: float, card: Card) -> None:
    assert make_sum_and_file(card).predict(np.zeros((rows, 1))).tolist() == [predicted] * rows


def test_a_linear_model_predicts_with_its_file_and_with_its_sum(card: Card) -> None:
    file, added = make_sum_and_file(card).predict_every_way(np.zeros((17, 1)))

    assert (file.tolist(), added.tolist()) == ([2.0] * 17, [1.0] * 17)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_the_first_row_without_a_finite_prediction_is_named(value: float, card: Card) -> None:
    one = Feature("x", "number")
    alone = msgspec.structs.replace(card, features=(one,), linear=None)
    predictor = Predictor(alone, Schema([one]), lambda matrix: np.array([1.0, value, 2.0, value])[: len(matrix)])

    with pytest.raises(PredictionError) as caught:
        predictor.predict(np.zeros((4, 1)))

    assert caught.value.findings == (
        Finding(1, None, "values that give no finite prediction", "values as in training"),
    )
    assert caught.value.more == 0


@pytest.mark.parametrize(
    ("found", "wanted", "relative"),
    [([1.0, -8.0], [1.0, -8.0], 0.0), ([1.0, -9.0], [1.0, -8.0], 0.125), ([3.0, 8.0], [1.0, 8.0], 0.25)],
)
def test_a_disagreement_is_relative_to_the_largest_value(
    found: list[float], wanted: list[float], relative: float
) -> None:
    assert measure_disagreement(np.array(found), np.array(wanted)) == relative


def test_the_golden_row_that_disagrees_most_is_named(copy: Path, card: Card) -> None:
    golden = [*card.golden]
    for row, factor in ((1, 1.1), (4, 2.0), (6, 0.9)):
        golden[row] = msgspec.structs.replace(golden[row], prediction=golden[row].prediction * factor)
    change_card(copy, golden=tuple(golden))

    with pytest.raises(ModelError) as refused:
        Predictor.load(copy)

    pattern = r"the prediction of golden row 4 is ([\d.]+), not ([\d.]+) as on the card"
    message = re.fullmatch(pattern, str(refused.value))
    assert message
    assert [float(value) for value in message.groups()] == pytest.approx(
        [card.golden[4].prediction, card.golden[4].prediction * 2]
    )
