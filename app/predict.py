"""POST /predict: takes rows, returns predictions and their intervals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NoReturn

import msgspec
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from app import problem, request_body
from app.model import Finding
from app.route import Reply, Route

if TYPE_CHECKING:
    from app.model import Predictor, Schema
    from app.route import Environ
    from app.settings import Settings


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row, as a list in feature order or an object by name, or a list of rows."""

    features: list[object] | dict[str, object]


class Model(msgspec.Struct, frozen=True):
    """The model that made the predictions."""

    name: str
    version: str


class Answer(msgspec.Struct, frozen=True):
    """Predictions and 90 % intervals, one for each row, in `unit`; warnings name values outside the training range."""

    prediction: list[float]
    interval: list[tuple[float, float]]
    unit: str | None
    model: Model
    warnings: list[Finding]


_decoder = msgspec.json.Decoder(Question)
_encoder = msgspec.json.Encoder()


def make_routes(settings: Settings, predictor: Predictor) -> list[Route]:
    """Make the route /predict."""
    card, schema = predictor.card, predictor.schema
    lower, upper = card.interval.lower, card.interval.upper
    model = Model(card.name, card.version)

    def answer(environ: Environ) -> Reply:
        content = request_body.read(environ, settings.max_body_bytes)
        if not request_body.is_json(environ):
            raise UnsupportedMediaType("The content type is not JSON: send Content-Type: application/json.")
        try:
            rows = _list_rows(_decoder.decode(content))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            _refuse(content, schema, error)
        if len(rows) > settings.max_rows:
            raise RequestEntityTooLarge(f"{len(rows)} rows are more than {settings.max_rows}: send fewer at a time.")
        matrix = schema.encode(rows)
        prediction = predictor.predict(matrix).tolist()
        document = Answer(
            prediction,
            [(value + lower, value + upper) for value in prediction],
            card.target.unit,
            model,
            schema.find_extrapolations(matrix),
        )
        return Reply(_encoder.encode(document), rows=len(rows))

    return [Route("POST", "/predict", answer, problem.handle_error, offers=("application/json",))]


def _list_rows(question: Question) -> list[object]:
    features = question.features
    several = isinstance(features, list) and (not features or isinstance(features[0], list | dict))
    return features if several else [features]  # type: ignore[return-value]


def _refuse(content: bytes, schema: Schema, error: Exception) -> NoReturn:
    """Raise the error of a body that could not be decoded: RowsError or BadRequest.

    Python's own parser accepts NaN, Infinity and 1e400: if only they are wrong, the schema can name row and field.
    """
    try:
        question = msgspec.convert(json.loads(content), Question)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    else:
        schema.encode(_list_rows(question))
    raise BadRequest(f'The body is not JSON of the form {{"features": [...]}}: {str(error)[:200]}.') from error
