"""GET /openapi.json: the service described for programs (OpenAPI 3.1.1), made once from the card of its model."""

from __future__ import annotations

import io
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from app import problem
from app.predict import Answer
from app.route import Reply, Route

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from app.model import Card, Feature, Value
    from app.settings import Settings

Document = dict[str, Any]
"""A JSON object: an OpenAPI document, or a part of one."""

_REFERENCE = "#/components/schemas/{name}"
_CONSTANT = {
    "/healthz": "Whether the process lives",
    "/readyz": "Whether it takes requests",
    "/version": "What runs here: image, commit and model",
}


def document(settings: Settings, card: Card, routes: Iterable[Route]) -> Document:
    """Describe the service's own routes, and those that bring an operation with them; the others stay private."""
    paths: dict[str, Document] = {}
    for route in routes:
        if operation := route.operation or _operation(settings, card, route):
            paths.setdefault(route.path, {})[route.method.lower()] = _admitted(settings, route, operation)
    unit = f" in {card.target.unit}" if card.target.unit else ""
    keys: Document = {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}} if settings.all_api_keys else {}
    _, components = msgspec.json.schema_components((Answer, problem.Problem), ref_template=_REFERENCE)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": card.name,
            "version": card.version,
            "summary": f"Predicts {card.target.name}{unit} from {len(card.features)} features of a row.",
        },
        "paths": paths,
        "components": {
            "schemas": {"Question": _question(settings), "Row": _row(card), "Values": _values(card), **components},
            **keys,
        },
    }


def route(described: Document) -> Route:
    """Give the route that serves a document, in bytes made here."""
    reply = Reply(msgspec.json.encode(described))
    return Route("GET", "/openapi.json", lambda _environ: reply, problem.refuse)


def plain(value: Value) -> Value:
    """Write a whole number as people do, without its decimal point."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def _operation(settings: Settings, card: Card, route: Route) -> Document | None:
    if route.path == "/predict":
        return _prediction(settings, card, route)
    return _constant(route) if route.path in _CONSTANT else None


def _admitted(settings: Settings, route: Route, operation: Mapping[str, Any]) -> Document:
    """Add what the door (app.door) answers in a route's place."""
    described = {**operation, "responses": {**operation["responses"]}}
    if settings.all_api_keys and not route.probe:
        described["security"] = [{"key": []}]
        described["responses"]["401"] = _refusal("There is no API key, or none that is known.")
    if route.offers:
        described["responses"]["406"] = _refusal(f"The Accept header excludes {' and '.join(route.offers)}.")
    described["responses"] = dict(sorted(described["responses"].items()))
    return described


def _prediction(settings: Settings, card: Card, route: Route) -> Document:
    """Describe /predict with examples that the route itself answers now: they cannot be wrong."""
    rows = [{name: plain(value) for name, value in golden.features.items()} for golden in card.golden]
    questions: dict[str, Document] = {
        "by name": {"features": rows[-1]},
        "in order": {"features": [*rows[-1].values()]},
        "several rows": {"features": rows[: min(2, settings.max_rows)]},
    }
    wrong = {"features": {**rows[0], card.features[0].name: True}}
    problems = {
        400: "The body is no JSON of this shape, or values are not what the model takes; errors names each of them.",
        408: "The body took too long to come.",
        413: f"More than {settings.max_rows} rows, or a body of more than {settings.max_body_bytes} bytes.",
        415: "The content type is not JSON.",
        422: "Every value is valid, but together they give no finite prediction.",
    }
    responses = {str(status): _refusal(text) for status, text in problems.items()}
    responses["400"]["content"][problem.CONTENT_TYPE]["examples"] = {"a wrong value": {"value": _answer(route, wrong)}}
    interval = f"{card.interval.level * 100:.0f} % interval"
    answers = {name: {"value": _answer(route, question)} for name, question in questions.items()}
    return {
        "operationId": "predict",
        "summary": f"Predict {card.target.name}",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": _reference("Question"),
                    "examples": {name: {"value": question} for name, question in questions.items()},
                }
            },
        },
        "responses": {
            "200": {
                "description": f"A prediction and its {interval} for each row, in their order.",
                "content": {"application/json": {"schema": _reference("Answer"), "examples": answers}},
            },
            **responses,
        },
    }


def _constant(route: Route) -> Document:
    """Describe a route that has one answer as long as the service runs."""
    answer = msgspec.json.decode(route({}).body)
    responses = {
        "200": {
            "description": HTTPStatus.OK.phrase,
            "content": {"application/json": {"schema": {"type": "object", "const": answer}}},
        }
    }
    if route.path == "/readyz":
        responses["503"] = _refusal("It is stopping: send requests elsewhere.")
    return {"operationId": route.path.strip("/"), "summary": _CONSTANT[route.path], "responses": responses}


def _answer(route: Route, question: Document) -> object:
    content = msgspec.json.encode(question)
    reply = route(
        {
            "REQUEST_METHOD": route.method,
            "PATH_INFO": route.path,
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(content)),
            "wsgi.input": io.BytesIO(content),
        }
    )
    return msgspec.json.decode(reply.body)


def _refusal(description: str) -> Document:
    return {"description": description, "content": {problem.CONTENT_TYPE: {"schema": _reference("Problem")}}}


def _reference(name: str) -> Document:
    return {"$ref": _REFERENCE.format(name=name)}


def _question(settings: Settings) -> Document:
    one = [_reference("Row"), _reference("Values")]
    several = {"type": "array", "minItems": 1, "maxItems": settings.max_rows, "items": {"anyOf": one}}
    return {
        "description": "One row, by name or as a list of values in their order, or a list of rows.",
        "type": "object",
        "properties": {"features": {"anyOf": [*one, several]}},
        "required": ["features"],
        "additionalProperties": False,
    }


def _row(card: Card) -> Document:
    return {
        "description": "One row by name; a value that may be missing can be null or left out.",
        "type": "object",
        "properties": {feature.name: _value(feature) for feature in card.features},
        "required": [feature.name for feature in card.features if not feature.missing],
        "additionalProperties": False,
    }


def _values(card: Card) -> Document:
    count = len(card.features)
    return {
        "description": f"One row as a list: {', '.join(feature.name for feature in card.features)}.",
        "type": "array",
        "prefixItems": [{"title": feature.name, **_value(feature)} for feature in card.features],
        "items": False,
        "minItems": count,
        "maxItems": count,
    }


def _value(feature: Feature) -> Document:
    """Give the JSON Schema (2020-12) of what `app.model.Schema` takes for a feature."""
    kind = "string" if feature.type == "category" else feature.type
    schema: Document = {"type": [kind, "null"] if feature.missing else kind}
    if feature.categories:
        schema["enum"] = [*feature.categories, *([None] if feature.missing else [])]
    if feature.range:
        schema["minimum"], schema["maximum"] = map(plain, feature.range)
    if description := _described(feature):
        schema["description"] = description
    if feature.typical is not None:
        schema["examples"] = [plain(feature.typical)]
    return schema


def _described(feature: Feature) -> str:
    parts: Sequence[str | None] = [
        feature.description,
        feature.unit and f"in {feature.unit}",
        feature.seen and f"{plain(feature.seen[0])} to {plain(feature.seen[1])} in training",
    ]
    return ", ".join(filter(None, parts))
