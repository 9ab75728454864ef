"""The model of `./ship serve`: when it is trained again, and what it is asked with."""

from dataclasses import replace
from pathlib import Path

import pytest

from scripts import model
from scripts.errors import Failure
from scripts.grammar import Column, Name, RelativePath, Version
from scripts.shipment import Shipment

# Writes what it was asked for, unless the table is of no use.
TRAINER = """
import pathlib, sys
options = dict(word.removeprefix("--").split("=", 1) for word in sys.argv[1:])
table = pathlib.Path(options["data"]).read_text()
if "?" in table:
    sys.exit("a value is missing")
out = pathlib.Path(options["out"])
out.mkdir(parents=True)
(out / "card.json").write_text(" ".join(options[name] for name in ("name", "version", "target", "format")))
"""


@pytest.fixture
def what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shipment:
    """A table, and a checkout with a trainer."""
    files = {
        "training/__main__.py": TRAINER, "app/model/card.py": "", "app/predict.py": "", "requirements/dev.txt": "onnx",
        "data/wines.csv": "acid,quality\n1,2\n", "data/wines.toml": "",
    }  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(model, "ROOT", tmp_path)
    monkeypatch.setattr(model, "DIRECTORY", tmp_path / "build/model")
    monkeypatch.setattr(model, "_MADE_OF", tmp_path / "build/model.sha256")
    return Shipment(tmp_path, RelativePath("data/wines.csv"), Column("quality"), Name("wine"), Version("1.0.0"))


def test_a_model_is_trained_once(what: Shipment) -> None:
    assert model.train(what)
    assert not model.train(what)
    assert (what.root / "build/model/card.json").read_text() == "wine 1.0.0 quality onnx"


@pytest.mark.parametrize(
    "file", ["data/wines.csv", "data/wines.toml", "training/__main__.py", "app/model/card.py", "requirements/dev.txt"]
)
def test_it_is_trained_again_when_what_it_is_made_of_changes(what: Shipment, file: str) -> None:
    model.train(what)
    with (what.root / file).open("a") as changed:
        changed.write("\n")

    assert model.train(what)


def test_the_rest_of_the_service_changes_no_model(what: Shipment) -> None:
    model.train(what)
    (what.root / "app/predict.py").write_text("answer = 42\n")

    assert not model.train(what)


def test_another_name_or_format_is_another_model(what: Shipment) -> None:
    model.train(what)

    assert model.train(replace(what, name=Name("cider")))
    assert model.train(what, "joblib")


def test_a_model_that_was_taken_away_is_made_again(what: Shipment) -> None:
    model.train(what)
    (what.root / "build/model/card.json").unlink()
    (what.root / "build/model").rmdir()

    assert model.train(what)


def test_a_model_whose_table_changed_meanwhile_is_trained_again(what: Shipment) -> None:
    """It may be made of the table before or after, and that before may come back."""
    before = what.path.read_text()
    with (what.root / "training/__main__.py").open("a") as trainer:
        trainer.write('pathlib.Path(options["data"]).write_text("acid,quality\\n9,9\\n")\n')
    model.train(what)
    what.path.write_text(before)

    assert model.train(what)


def test_after_a_refusal_there_is_no_model_until_the_table_is_mended(
    what: Shipment, capfd: pytest.CaptureFixture[str]
) -> None:
    model.train(what)
    right = what.path.read_text()
    what.path.write_text("acid,quality\n1,?\n")

    with pytest.raises(Failure, match="there is no model: the trainer says above why"):
        model.train(what)
    assert "a value is missing" in capfd.readouterr().err
    assert not (what.root / "build/model").exists()

    what.path.write_text(right)
    assert model.train(what)


def test_the_example_is_the_first_row_whose_prediction_is_known() -> None:
    card = b'{"golden": [{"features": {"acid": 1.5, "bottle": null}}, {"features": {"acid": 2}}]}'

    assert model.example(card, "the card") == '{"features": {"acid": 1.5, "bottle": null}}'
