"""MLflow's scoring server, POST /invocations, which is also how MLflow models run in SageMaker.

MLflow: https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally, and mlflow/pyfunc/scoring_server; errors are
{"error_code", "message"} with the codes of mlflow/exceptions.py. SageMaker calls two of the same paths and leaves the
bodies to the container (https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html), so one
module serves both; a table without a header and `Accept: text/csv` are SageMaker's conventions.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import msgspec
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from app import request_body
from app.model import Finding, RowsError
from app.protocols import adapter
from app.route import Reply, Route

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.drain import Drain
    from app.model import Card, Feature, Predictor
    from app.route import Environ
    from app.settings import Settings

    Converter = Callable[[str], object]

Unset = msgspec.UnsetType


class Split(msgspec.Struct, frozen=True):
    """A DataFrame as `to_dict(orient="split")` makes it; the default columns are the model's, the index is ignored."""

    data: list[list[object]]
    columns: list[str] | None = None


class ScoringRequest(msgspec.Struct, frozen=True):
    """Exactly one of the four; other members, such as `params`, are ignored."""

    dataframe_split: Split | Unset = msgspec.UNSET
    dataframe_records: list[dict[str, object]] | Unset = msgspec.UNSET
    instances: list[object] | Unset = msgspec.UNSET
    inputs: list[object] | dict[str, object] | Unset = msgspec.UNSET


# The codes of mlflow.exceptions.ERROR_CODE_TO_HTTP_STATUS that can occur here.
_CODES = {404: "ENDPOINT_NOT_FOUND", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 429: "REQUEST_LIMIT_EXCEEDED"}
_CODES |= {500: "INTERNAL_ERROR", 503: "TEMPORARILY_UNAVAILABLE"}

_decoder = msgspec.json.Decoder(ScoringRequest)
_encoder = msgspec.json.Encoder()


def make_routes(settings: Settings, predictor: Predictor, drain: Drain) -> list[Route]:
    """Make the routes /invocations, /ping and /health. /version is our own: MLflow's client accepts any text there."""
    names, converters = list(predictor.schema.names), _make_converters(predictor.card)
    health = adapter.make_readiness_handler(Reply(b"\n"), drain)

    def invoke(environ: Environ) -> Reply:
        content = request_body.read(environ, settings.max_body_bytes)
        if request_body.is_json(environ):
            rows = _list_rows(adapter.decode(content, _decoder), names)
        elif _find_media_type(environ.get("CONTENT_TYPE", "")) == "text/csv":
            rows = _parse_table(content, converters)
        else:
            raise UnsupportedMediaType("The content type is neither JSON nor CSV: send application/json or text/csv.")
        predictions = adapter.predict(settings, predictor, rows)
        if _find_media_type(environ.get("HTTP_ACCEPT", "")) == "text/csv":
            table = "".join(f"{value!r}\n" for value in predictions)
            return Reply(table.encode(), "text/csv; charset=utf-8", rows=len(predictions))
        return Reply(_encoder.encode({"predictions": predictions}), rows=len(predictions))

    return [
        Route("POST", "/invocations", invoke, _handle_error),
        Route("GET", "/ping", health, _handle_error, probe=True),
        Route("GET", "/health", health, _handle_error, probe=True),
    ]


_handle_error = adapter.make_error_handler(
    lambda status, text: {"error_code": _CODES.get(status, "BAD_REQUEST"), "message": text},
)


def _find_media_type(header: str) -> str:
    """Return the media type of a Content-Type header, or the first one of an Accept header."""
    return header.partition(",")[0].partition(";")[0].strip().lower()


def _list_rows(request: ScoringRequest, names: list[str]) -> Sequence[object]:
    given = {name: value for name, value in msgspec.structs.asdict(request).items() if value is not msgspec.UNSET}
    if len(given) != 1:
        wanted = ", ".join(request.__struct_fields__)
        raise BadRequest(f"The body has {' and '.join(given) or 'no rows'}: send exactly one of {wanted}.")
    [value] = given.values()
    if isinstance(value, Split):
        return value.data if value.columns in (None, names) else _name_values(value.columns, value.data)
    return _transpose(value) if isinstance(value, dict) else value


def _name_values(columns: Sequence[str], data: Sequence[Sequence[object]]) -> list[object]:
    """Return rows by name; raises RowsError for a row of another length, BadRequest for a duplicate name."""
    if len(set(columns)) < len(columns):
        raise BadRequest("Two columns have the same name: rename or remove one.")
    for index, row in enumerate(data):
        if len(row) != len(columns):
            wanted = f"{len(columns)}, one for each column"
            raise RowsError([Finding(index, None, f"a list of {len(row)} values", wanted)])
    return [dict(zip(columns, row, strict=True)) for row in data]


def _transpose(columns: dict[str, object]) -> list[object]:
    """Return the rows of columns by name, which have one length, or the one row of single values."""
    lists = [value for value in columns.values() if isinstance(value, list)]
    if not lists:
        return [columns]
    if len(lists) < len(columns) or len({len(value) for value in lists}) > 1:
        raise BadRequest("The columns of `inputs` are not lists of one length: send as many values in each.")
    return _name_values(list(columns), list(zip(*lists, strict=True)))


def _make_converters(card: Card) -> dict[str, Converter]:
    return {
        feature.name: _make_category_parser(feature) if feature.type == "category" else _parse_number
        for feature in card.features
    }


def _make_category_parser(feature: Feature) -> Converter:
    missing = None if "" not in feature.categories else ""
    return lambda text: text or missing


def _parse_number(text: str) -> object:
    """Return the number in a cell, None if it is empty or NaN; other text stays as it is, for the schema to reject."""
    try:
        value = float(text) if text and "_" not in text else None
    except ValueError:
        return text
    if value is None:
        return text or None
    return None if value != value else value  # noqa: PLR0124 - only NaN is not equal to itself


def _parse_table(content: bytes, converters: dict[str, Converter]) -> Sequence[object]:
    """Return the rows of a CSV table; its first line is a header if it contains the name of a feature."""
    try:
        lines = [line for line in csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadRequest(f"The body is not CSV in UTF-8: {str(error)[:200]}.") from error
    names = list(converters)
    if lines and not converters.keys().isdisjoint(lines[0]):
        names = lines.pop(0)
    by_column = [converters.get(name, str) for name in names]
    rows = [
        [convert(text) for convert, text in zip(by_column, line, strict=True)] if len(line) == len(names) else line
        for line in lines
    ]
    return rows if names == list(converters) else _name_values(names, rows)
