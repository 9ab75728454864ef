"""POST /invocations: the protocol of MLflow's scoring server, which is also how MLflow models run in SageMaker.

MLflow: https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally, and mlflow/pyfunc/scoring_server; errors are
{"error_code", "message"} with the codes of mlflow/exceptions.py. SageMaker asks for the same two paths and leaves the
bodies to the container (https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html), so one
adapter serves both; a table without a header and `Accept: text/csv` are SageMaker's customs.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import msgspec
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from app import adapter, body
from app.model import Finding, RowsError
from app.route import Reply, Route

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.drain import Drain
    from app.model import Card, Feature, Predictor
    from app.route import Environ
    from app.settings import Settings

    Cell = Callable[[str], object]

Unset = msgspec.UnsetType


class Split(msgspec.Struct, frozen=True):
    """A DataFrame as `to_dict(orient="split")` gives it; without columns, they are the model's. The index is unread."""

    data: list[list[object]]
    columns: list[str] | None = None


class Question(msgspec.Struct, frozen=True):
    """Exactly one of the four; other members, such as `params`, say nothing to this model."""

    dataframe_split: Split | Unset = msgspec.UNSET
    dataframe_records: list[dict[str, object]] | Unset = msgspec.UNSET
    instances: list[object] | Unset = msgspec.UNSET
    inputs: list[object] | dict[str, object] | Unset = msgspec.UNSET


# Those of mlflow.exceptions.ERROR_CODE_TO_HTTP_STATUS that a client can meet here.
_CODES = {404: "ENDPOINT_NOT_FOUND", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 429: "REQUEST_LIMIT_EXCEEDED"}
_CODES |= {500: "INTERNAL_ERROR", 503: "TEMPORARILY_UNAVAILABLE"}

_decoder = msgspec.json.Decoder(Question)
_encoder = msgspec.json.Encoder()


def routes(settings: Settings, predictor: Predictor, drain: Drain) -> list[Route]:
    """Give the routes /invocations, /ping and /health. /version is our own: MLflow's client takes any text there."""
    names, cells = list(predictor.schema.names), _cells(predictor.card)
    health = adapter.while_ready(Reply(b"\n"), drain)

    def invoke(environ: Environ) -> Reply:
        content = body.read(environ, settings.max_body_bytes)
        if body.is_json(environ):
            rows = _rows(adapter.decode(content, _decoder), names)
        elif _kind(environ.get("CONTENT_TYPE", "")) == "text/csv":
            rows = _table(content, cells)
        else:
            raise UnsupportedMediaType("The content type must be application/json or text/csv.")
        predictions = adapter.predict(settings, predictor, rows)
        if _kind(environ.get("HTTP_ACCEPT", "")) == "text/csv":
            table = "".join(f"{value!r}\n" for value in predictions)
            return Reply(table.encode(), "text/csv; charset=utf-8", rows=len(predictions))
        return Reply(_encoder.encode({"predictions": predictions}), rows=len(predictions))

    return [
        Route("POST", "/invocations", invoke, _refuse),
        Route("GET", "/ping", health, _refuse, probe=True),
        Route("GET", "/health", health, _refuse, probe=True),
    ]


_refuse = adapter.refusal(
    lambda status, text: {"error_code": _CODES.get(status, "BAD_REQUEST"), "message": text},
)


def _kind(header: str) -> str:
    """Give the media type that a Content-Type says, or the first one of an Accept."""
    return header.partition(",")[0].partition(";")[0].strip().lower()


def _rows(question: Question, names: list[str]) -> Sequence[object]:
    given = {name: value for name, value in msgspec.structs.asdict(question).items() if value is not msgspec.UNSET}
    if len(given) != 1:
        wanted = ", ".join(question.__struct_fields__)
        raise BadRequest(f"The body must have exactly one of {wanted}; it has {' and '.join(given) or 'none'}.")
    [value] = given.values()
    if isinstance(value, Split):
        return value.data if value.columns in (None, names) else _named(value.columns, value.data)
    return _transposed(value) if isinstance(value, dict) else value


def _named(columns: Sequence[str], data: Sequence[Sequence[object]]) -> list[object]:
    """Give rows by name. Raises RowsError for one of another length, BadRequest for a name that comes twice."""
    if len(set(columns)) < len(columns):
        raise BadRequest("The columns have a name that comes twice.")
    for index, row in enumerate(data):
        if len(row) != len(columns):
            wanted = f"{len(columns)}, one for each column"
            raise RowsError([Finding(index, None, f"a list of {len(row)} values", wanted)])
    return [dict(zip(columns, row, strict=True)) for row in data]


def _transposed(columns: dict[str, object]) -> list[object]:
    """Give the rows of columns by name, all of one length, or the one row of single values."""
    lists = [value for value in columns.values() if isinstance(value, list)]
    if not lists:
        return [columns]
    if len(lists) < len(columns) or len({len(value) for value in lists}) > 1:
        raise BadRequest("The columns of `inputs` must be lists of one length.")
    return _named(list(columns), list(zip(*lists, strict=True)))


def _cells(card: Card) -> dict[str, Cell]:
    return {feature.name: _category(feature) if feature.type == "category" else _number for feature in card.features}


def _category(feature: Feature) -> Cell:
    missing = None if "" not in feature.categories else ""
    return lambda text: text or missing


def _number(text: str) -> object:
    """Give the number that a cell says; empty and NaN are missing, and what is none stays text, to be refused."""
    try:
        value = float(text) if text and "_" not in text else None
    except ValueError:
        return text
    if value is None:
        return text or None
    return None if value != value else value  # noqa: PLR0124 - only NaN is unlike itself


def _table(content: bytes, cells: dict[str, Cell]) -> Sequence[object]:
    """Give the rows of a CSV table; its first line is a header when a feature's name is in it."""
    try:
        lines = [line for line in csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadRequest(f"The body is not CSV in UTF-8: {str(error)[:200]}.") from error
    names = list(cells)
    if lines and not cells.keys().isdisjoint(lines[0]):
        names = lines.pop(0)
    convert = [cells.get(name, str) for name in names]
    rows = [
        [cell(text) for cell, text in zip(convert, line, strict=True)] if len(line) == len(names) else line
        for line in lines
    ]
    return rows if names == list(cells) else _named(names, rows)
