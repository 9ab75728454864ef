"""GET /openapi.json: the service described for programs (OpenAPI 3.1.1), made once from the model's card."""

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
    "/healthz": "Whether the process is alive",
    "/readyz": "Whether the service is ready for requests",
    "/version": "What runs here: image, commit and model",
}


def make_document(settings: Settings, card: Card, routes: Iterable[Route]) -> Document:
    """Describe the service's own routes, and those with an `operation`; the others are left out."""
    paths: dict[str, Document] = {}
    for route in routes:
        if operation := route.operation or _describe_operation(settings, card, route):
            paths.setdefault(route.path, {})[route.method.lower()] = _add_early_responses(settings, route, operation)
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
            "schemas": {
                "Question": _make_question(settings),
                "Row": _make_row(card),
                "Values": _make_values(card),
                **components,
            },
            **keys,
        },
    }


def make_route(document: Document) -> Route:
    """Make the route that serves a document, encoded once."""
    reply = Reply(msgspec.json.encode(document))
    return Route("GET", "/openapi.json", lambda _environ: reply, problem.handle_error)


def simplify(value: Value) -> Value:
    """Turn a float that is a whole number into an integer, which is shown without a decimal point."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def _describe_operation(settings: Settings, card: Card, route: Route) -> Document | None:
    if route.path == "/predict":
        return _describe_prediction(settings, card, route)
    return _describe_constant(route) if route.path in _CONSTANT else None


def _add_early_responses(settings: Settings, route: Route, operation: Mapping[str, Any]) -> Document:
    """Add the responses of app.middleware to requests that do not reach the route."""
    described = {**operation, "responses": {**operation["responses"]}}
    if settings.all_api_keys and not route.probe:
        described["security"] = [{"key": []}]
        described["responses"]["401"] = _describe_error("The API key is missing or unknown.")
    if route.offers:
        described["responses"]["406"] = _describe_error(f"The Accept header excludes {' and '.join(route.offers)}.")
    described["responses"] = dict(sorted(described["responses"].items()))
    return described


def _describe_prediction(settings: Settings, card: Card, route: Route) -> Document:
    """Describe /predict, with examples that the route itself answers, so that they are right."""
    rows = [{name: simplify(value) for name, value in golden.features.items()} for golden in card.golden]
    questions: dict[str, Document] = {
        "by name": {"features": rows[-1]},
        "in order": {"features": [*rows[-1].values()]},
        "several rows": {"features": rows[: min(2, settings.max_rows)]},
    }
    wrong = {"features": {**rows[0], card.features[0].name: True}}
    problems = {
        400: "The body is not JSON of this shape, or values are invalid; `errors` names each of them.",
        408: "The body took too long to arrive.",
        413: f"More than {settings.max_rows} rows, or a body of more than {settings.max_body_bytes} bytes.",
        415: "The content type is not JSON.",
        422: "Every value is valid, but together they give no finite prediction.",
    }
    responses = {str(status): _describe_error(text) for status, text in problems.items()}
    responses["400"]["content"][problem.CONTENT_TYPE]["examples"] = {"a wrong value": {"value": _ask(route, wrong)}}
    interval = f"{card.interval.level * 100:.0f} % interval"
    answers = {name: {"value": _ask(route, question)} for name, question in questions.items()}
    return {
        "operationId": "predict",
        "summary": f"Predict {card.target.name}",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": _refer_to("Question"),
                    "examples": {name: {"value": question} for name, question in questions.items()},
                }
            },
        },
        "responses": {
            "200": {
                "description": f"A prediction and its {interval} for each row, in the same order.",
                "content": {"application/json": {"schema": _refer_to("Answer"), "examples": answers}},
            },
            **responses,
        },
    }


def _describe_constant(route: Route) -> Document:
    """Describe a route whose response stays the same while the service runs."""
    answer = msgspec.json.decode(route({}).body)
    responses = {
        "200": {
            "description": HTTPStatus.OK.phrase,
            "content": {"application/json": {"schema": {"type": "object", "const": answer}}},
        }
    }
    if route.path == "/readyz":
        responses["503"] = _describe_error("The service is stopping: send requests elsewhere.")
    return {"operationId": route.path.strip("/"), "summary": _CONSTANT[route.path], "responses": responses}


def _ask(route: Route, question: Document) -> object:
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


def _describe_error(description: str) -> Document:
    return {"description": description, "content": {problem.CONTENT_TYPE: {"schema": _refer_to("Problem")}}}


def _refer_to(name: str) -> Document:
    return {"$ref": _REFERENCE.format(name=name)}


def _make_question(settings: Settings) -> Document:
    one = [_refer_to("Row"), _refer_to("Values")]
    several = {"type": "array", "minItems": 1, "maxItems": settings.max_rows, "items": {"anyOf": one}}
    return {
        "description": "One row, by name or as a list of values in order, or a list of rows.",
        "type": "object",
        "properties": {"features": {"anyOf": [*one, several]}},
        "required": ["features"],
        "additionalProperties": False,
    }


def _make_row(card: Card) -> Document:
    return {
        "description": "One row by name; a value that may be missing can be null or omitted.",
        "type": "object",
        "properties": {feature.name: _make_value(feature) for feature in card.features},
        "required": [feature.name for feature in card.features if not feature.missing],
        "additionalProperties": False,
    }


def _make_values(card: Card) -> Document:
    count = len(card.features)
    return {
        "description": f"One row as a list: {', '.join(feature.name for feature in card.features)}.",
        "type": "array",
        "prefixItems": [{"title": feature.name, **_make_value(feature)} for feature in card.features],
        "items": False,
        "minItems": count,
        "maxItems": count,
    }


def _make_value(feature: Feature) -> Document:
    """Return the JSON Schema (2020-12) of the values that `app.model.Schema` accepts for a feature."""
    kind = "string" if feature.type == "category" else feature.type
    schema: Document = {"type": [kind, "null"] if feature.missing else kind}
    if feature.categories:
        schema["enum"] = [*feature.categories, *([None] if feature.missing else [])]
    if feature.range:
        schema["minimum"], schema["maximum"] = map(simplify, feature.range)
    if description := _describe_feature(feature):
        schema["description"] = description
    if feature.typical is not None:
        schema["examples"] = [simplify(feature.typical)]
    return schema


def _describe_feature(feature: Feature) -> str:
    parts: Sequence[str | None] = [
        feature.description,
        feature.unit and f"in {feature.unit}",
        feature.seen and f"{simplify(feature.seen[0])} to {simplify(feature.seen[1])} in training",
    ]
    return ", ".join(filter(None, parts))
