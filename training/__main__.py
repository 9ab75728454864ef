"""The command line: `python -m training --data FILE --target COLUMN --out DIR`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn

import click

from training import build, california, table
from training.description import InputError
from training.evaluation import find_shortcomings

if TYPE_CHECKING:
    from app.model import Card


@click.command()
@click.option("--data", required=True, metavar="FILE", help='CSV table with a header line, or "california".')
@click.option("--target", metavar="COLUMN", help="Column to predict; not needed for california.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Model directory to make or replace.")
@click.option("--format", "form", type=click.Choice(["onnx", "joblib"]), default="onnx", show_default=True)
@click.option("--name", default="house-price", show_default=True, help="Name of the model.")
@click.option("--version", default="1.0.0", show_default=True, help="Version of the model.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Seed of the split.")
@click.option("--drop-duplicates", is_flag=True, help="Keep only the first of identical rows.")
def main(
    *,
    data: str,
    target: str | None,
    out: Path,
    form: Literal["onnx", "joblib"],
    name: str,
    version: str,
    seed: int,
    drop_duplicates: bool,
) -> None:
    """Make a model directory from a table of data.

    A TOML file beside the table, with the same name, describes its columns (see training/data/houses.toml);
    without it, they are inferred. Exit status: 0 written, 1 no acceptable model, 2 invalid input.
    """
    try:
        checked = _read(data, target, drop_duplicates=drop_duplicates)
        _report_table(checked)
        model = build.train(checked, build.Options(name, version, form, seed))
        _report_card(model.card)
        if failures := find_shortcomings(model.card):
            _stop(1, f"Gate failed: {'; '.join(failures)}. Nothing was written.")
        click.echo("gate              passed")
        card = build.write(model, out)
    except InputError as error:
        _stop(2, str(error))
    except build.BuildError as error:
        _stop(1, f"{error} Nothing was written.")
    click.echo(
        f"agreement         within {card.agreement:g} {card.target.unit or ''} of scikit-learn on every hold-out row"
    )
    click.echo(f"written           {out / card.model_file}, {out / 'card.json'}")


def _read(data: str, target: str | None, *, drop_duplicates: bool) -> table.Table:
    if data == california.NAME:
        return california.fetch(drop_duplicates=drop_duplicates)
    if not target:
        raise InputError("No target: name the column to predict with --target.")
    return table.read(Path(data), target, drop_duplicates=drop_duplicates)


def _report_table(checked: table.Table) -> None:
    dropped = f", {checked.duplicates} duplicates dropped" if checked.duplicates else ""
    click.echo(
        f"table             {checked.data.source}: {checked.data.rows} rows, {len(checked.features)} features{dropped}"
    )


def _report_card(card: Card) -> None:
    split, folds, model, baseline = card.split, card.cross_validation, card.metrics.model, card.metrics.baseline
    unit = card.target.unit or ""
    click.echo(f"split             {split.training_rows} training, {split.hold_out_rows} hold-out, seed {split.seed}")
    click.echo(
        f"cross-validation  R2 {folds.r2_mean:.4f} ± {folds.r2_deviation:.4f}, "
        f"MAE {folds.mae_mean:.6g} ± {folds.mae_deviation:.3g} {unit} over {folds.folds} folds"
    )
    for label, scores in (("hold-out", model), ("baseline", baseline)):
        click.echo(f"{label:<18}R2 {scores.r2:.4f}, MAE {scores.mae:.6g}, RMSE {scores.rmse:.6g} {unit}")
    interval = card.interval
    click.echo(f"interval          {interval.level:.0%} wanted, {interval.coverage:.1%} of the hold-out covered")


def _stop(status: int, sentence: str) -> NoReturn:
    click.echo(sentence, err=True)
    raise SystemExit(status)


if __name__ == "__main__":
    main(prog_name="python -m training")
