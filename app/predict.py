"""POST /predict: rows in, predictions and their intervals out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NoReturn

import msgspec
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from app import body, problem
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
    """Who answers."""

    name: str
    version: str


class Answer(msgspec.Struct, frozen=True):
    """Predictions and 90 % intervals, one for each row, in `unit`; warnings name values unlike those of training."""

    prediction: list[float]
    interval: list[tuple[float, float]]
    unit: str | None
    model: Model
    warnings: list[Finding]


_decoder = msgspec.json.Decoder(Question)
_encoder = msgspec.json.Encoder()


def routes(settings: Settings, predictor: Predictor) -> list[Route]:
    """Give the route /predict."""
    card, schema = predictor.card, predictor.schema
    lower, upper = card.interval.lower, card.interval.upper
    model = Model(card.name, card.version)

    def predict(environ: Environ) -> Reply:
        content = body.read(environ, settings.max_body_bytes)
        if not body.is_json(environ):
            raise UnsupportedMediaType("The body's content type is not JSON: send Content-Type: application/json.")
        try:
            rows = _rows(_decoder.decode(content))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            _refuse(content, schema, error)
        if len(rows) > settings.max_rows:
            raise RequestEntityTooLarge(f"{len(rows)} rows, at most {settings.max_rows} are taken at a time.")
        matrix = schema.encode(rows)
        prediction = predictor.predict(matrix).tolist()
        answer = Answer(
            prediction,
            [(value + lower, value + upper) for value in prediction],
            card.target.unit,
            model,
            schema.extrapolations(matrix),
        )
        return Reply(_encoder.encode(answer), rows=len(rows))

    return [Route("POST", "/predict", predict, problem.refuse, offers=("application/json",))]


def _rows(question: Question) -> list[object]:
    features = question.features
    several = isinstance(features, list) and (not features or isinstance(features[0], list | dict))
    return features if several else [features]  # type: ignore[return-value]


def _refuse(content: bytes, schema: Schema, error: Exception) -> NoReturn:
    """Refuse a body that is not the JSON wanted.

    Python's own parser takes NaN, Infinity and 1e400: where only they are wrong, the schema can name row and field.
    """
    try:
        question = msgspec.convert(json.loads(content), Question)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    else:
        schema.encode(_rows(question))
    raise BadRequest(f'The body is not {{"features": [...]}} in JSON: {str(error)[:200]}.') from error
