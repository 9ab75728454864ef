"""What the adapters in app/protocols share: a JSON body in, predictions out, errors in the shape of their protocol."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeVar

import msgspec
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, ServiceUnavailable

from app import body, problem
from app.model.schema import describe
from app.route import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.drain import Drain
    from app.model import Finding, Predictor
    from app.route import Environ
    from app.settings import Settings

    Handler = Callable[[Environ], Reply]
    Refuse = Callable[[Exception], Reply]

T = TypeVar("T")

_TEXT = 2_000  # characters of findings in one error message
_NO_NUMBER = {"NaN": None, "Infinity": float("inf"), "-Infinity": float("-inf")}


def decode(content: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode a JSON document; NaN in it is a missing value.

    NaN is no JSON, but what clients send for one: pandas has no other missing number, and TensorFlow Serving's REST
    API, the root of most of these protocols, takes it. Raises BadRequest when the document is not of the type wanted.
    """
    try:
        return decoder.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        try:
            document = json.loads(content, parse_constant=_NO_NUMBER.__getitem__)
            return msgspec.convert(document, decoder.type)
        except msgspec.ValidationError as wrong:
            reason = str(wrong)
        except (ValueError, RecursionError):
            reason = str(error)
    raise BadRequest(f"The body is not the JSON wanted: {reason[:200]}.")


def predict(settings: Settings, predictor: Predictor, rows: Sequence[object]) -> list[float]:
    """Predict rows, each a list in feature order or an object by name; raises RowsError, RequestEntityTooLarge."""
    limit_rows(len(rows), settings)
    prediction: list[float] = predictor.predict(predictor.schema.encode(rows)).tolist()
    return prediction


def limit_rows(count: int, settings: Settings) -> None:
    """Raise RequestEntityTooLarge for more rows than one request may have."""
    if count > settings.max_rows:
        raise RequestEntityTooLarge(f"{count} rows, at most {settings.max_rows} are taken at a time.")


class Instances(msgspec.Struct, frozen=True):
    """TensorFlow Serving's request: rows, each a list in feature order or an object by name; other members are unread.

    https://www.tensorflow.org/tfx/serving/api_rest
    """

    instances: list[object]


_instances = msgspec.json.Decoder(Instances)
_encoder = msgspec.json.Encoder()


def instances(settings: Settings, predictor: Predictor) -> Handler:
    """Make the answer of a route that takes {"instances": rows} and gives {"predictions": numbers}."""

    def answer(environ: Environ) -> Reply:
        question = decode(body.read(environ, settings.max_body_bytes), _instances)
        predictions = predict(settings, predictor, question.instances)
        return Reply(_encoder.encode({"predictions": predictions}), rows=len(predictions))

    return answer


def while_ready(reply: Reply, drain: Drain) -> Handler:
    """Make the answer of a route that says `reply` until the service is about to stop, and is then unavailable."""

    def answer(_environ: Environ) -> Reply:
        if drain.started:
            raise ServiceUnavailable("The service is stopping: send requests elsewhere.")
        return reply

    return answer


def refusal(shape: Callable[[int, str], object]) -> Refuse:
    """Make a route's `refuse` of a protocol's error document, given as a function of the status and the text.

    Status, headers and what is logged are those of the problem document that the same error makes elsewhere.
    """

    def refuse(error: Exception) -> Reply:
        reply = problem.refuse(error)
        document = msgspec.json.decode(reply.body, type=problem.Problem)
        content = _encoder.encode(shape(document.status, _text(document)))
        return Reply(content, status=reply.status, headers=reply.headers)

    return refuse


def _text(document: problem.Problem) -> str:
    """Give the problem in one sentence, with as many of its errors as fit."""
    told: list[str] = []
    for finding in document.errors:
        told.append(_clause(finding))
        if sum(map(len, told)) > _TEXT:
            break
    if not told:
        return document.detail
    more = len(document.errors) - len(told) + document.more
    told += [f"and {more} more"] if more else []
    return f"{document.detail.removesuffix('.')}: {'; '.join(told)}."


def _clause(finding: Finding) -> str:
    place = [] if finding.row is None else [f"row {finding.row}"]
    place += [] if finding.field is None else [describe(finding.field)]
    where = f"{', '.join(place)}: " if place else ""
    return f"{where}found {finding.found}, wanted {finding.wanted}"
