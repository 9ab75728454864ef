"""What the protocols share: decode a JSON body, predict, and report errors in the shape of the protocol."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeVar

import msgspec
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, ServiceUnavailable

from app import problem, request_body
from app.model.schema import describe
from app.route import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.drain import Drain
    from app.model import Finding, Predictor
    from app.route import Environ
    from app.settings import Settings

    Handler = Callable[[Environ], Reply]
    ErrorHandler = Callable[[Exception], Reply]

T = TypeVar("T")

_MOST_CHARACTERS = 2_000  # of the findings in one error message
_CONSTANTS = {"NaN": None, "Infinity": float("inf"), "-Infinity": float("-inf")}


def decode(content: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode a JSON document, with NaN as a missing value; raises BadRequest if it is not of the decoder's type.

    NaN is not JSON, but clients send it: pandas has no other missing number, and TensorFlow Serving's REST API, the
    origin of most of these protocols, accepts it.
    """
    try:
        return decoder.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        try:
            document = json.loads(content, parse_constant=_CONSTANTS.__getitem__)
            return msgspec.convert(document, decoder.type)
        except msgspec.ValidationError as wrong:
            reason = str(wrong)
        except (ValueError, RecursionError):
            reason = str(error)
    raise BadRequest(f"The body is not JSON of the expected form: {reason[:200]}.")


def predict(settings: Settings, predictor: Predictor, rows: Sequence[object]) -> list[float]:
    """Predict rows, each a list in feature order or an object by name; raises RowsError or RequestEntityTooLarge."""
    limit_rows(len(rows), settings)
    prediction: list[float] = predictor.predict(predictor.schema.encode(rows)).tolist()
    return prediction


def limit_rows(count: int, settings: Settings) -> None:
    """Raise RequestEntityTooLarge if there are more rows than one request may have."""
    if count > settings.max_rows:
        raise RequestEntityTooLarge(f"{count} rows are more than {settings.max_rows}: send fewer at a time.")


class Instances(msgspec.Struct, frozen=True):
    """TensorFlow Serving's request: rows, each a list in feature order or an object by name; ignores other members.

    https://www.tensorflow.org/tfx/serving/api_rest
    """

    instances: list[object]


_decoder = msgspec.json.Decoder(Instances)
_encoder = msgspec.json.Encoder()


def make_instances_handler(settings: Settings, predictor: Predictor) -> Handler:
    """Make the handler of a route that takes {"instances": rows} and returns {"predictions": numbers}."""

    def answer(environ: Environ) -> Reply:
        request = decode(request_body.read(environ, settings.max_body_bytes), _decoder)
        predictions = predict(settings, predictor, request.instances)
        return Reply(_encoder.encode({"predictions": predictions}), rows=len(predictions))

    return answer


def make_readiness_handler(reply: Reply, drain: Drain) -> Handler:
    """Make the handler of a route that answers `reply` until the service drains, and with a 503 from then on."""

    def answer(_environ: Environ) -> Reply:
        if drain.started:
            raise ServiceUnavailable("The service is stopping: send requests elsewhere.")
        return reply

    return answer


def make_error_handler(shape: Callable[[int, str], object]) -> ErrorHandler:
    """Make a route's `handle_error`; `shape` makes the protocol's error document from a status and a text.

    Status, headers and log are the same as for a problem document.
    """

    def handle_error(error: Exception) -> Reply:
        reply = problem.handle_error(error)
        document = msgspec.json.decode(reply.body, type=problem.Problem)
        content = _encoder.encode(shape(document.status, _summarize(document)))
        return Reply(content, status=reply.status, headers=reply.headers)

    return handle_error


def _summarize(document: problem.Problem) -> str:
    """Describe the problem in one sentence, with as many of its errors as fit."""
    clauses: list[str] = []
    for finding in document.errors:
        clauses.append(_describe_finding(finding))
        if sum(map(len, clauses)) > _MOST_CHARACTERS:
            break
    if not clauses:
        return document.detail
    more = len(document.errors) - len(clauses) + document.more
    clauses += [f"and {more} more"] if more else []
    return f"{document.detail.removesuffix('.')}: {'; '.join(clauses)}."


def _describe_finding(finding: Finding) -> str:
    place = [] if finding.row is None else [f"row {finding.row}"]
    place += [] if finding.field is None else [describe(finding.field)]
    where = f"{', '.join(place)}: " if place else ""
    return f"{where}found {finding.found}, wanted {finding.wanted}"
