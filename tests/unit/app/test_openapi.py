"""GET /openapi.json describes what the service does, for the loaded model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from app import openapi, problem
from app.drain import Drain
from app.factory import create_app
from app.model import Card, Feature, Predictor
from app.route import Reply, Route
from app.settings import Settings

Json = dict[str, Any]


@pytest.fixture
def document(client: FlaskClient) -> Json:
    return dict(client.get("/openapi.json").json or {})


@pytest.fixture
def question(document: Json) -> OAS31Validator:
    """A validator of bodies of /predict, made only from the document."""
    schema = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return OAS31Validator({**document, **schema})


def test_the_document_is_valid_openapi_3_1(document: Json) -> None:
    assert document["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(document).validate()


def test_the_document_is_named_after_the_model(document: Json, card: Card) -> None:
    assert (document["info"]["title"], document["info"]["version"]) == (card.name, card.version)
    assert "price in EUR" in document["info"]["summary"]


def test_the_document_has_the_routes_for_programs(document: Json) -> None:
    methods = {path: [*item] for path, item in document["paths"].items()}

    assert methods == {"/healthz": ["get"], "/readyz": ["get"], "/version": ["get"], "/predict": ["post"]}


def test_the_document_has_every_status_of_a_prediction(document: Json) -> None:
    assert [*document["paths"]["/predict"]["post"]["responses"]] == ["200", "400", "406", "408", "413", "415", "422"]


def test_features_are_described(document: Json) -> None:
    features = document["components"]["schemas"]["Row"]["properties"]

    assert features["area"].items() >= {"type": "number", "minimum": 10, "maximum": 1000}.items()
    assert "Living area, in m2" in features["area"]["description"]
    assert features["rooms"]["type"] == "integer"
    assert features["energy"]["type"] == ["number", "null"]
    assert features["building"]["enum"] == ["apartment", "terraced", "semi-detached", "detached"]
    assert features["condition"]["enum"] == ["to renovate", "dated", "good", "renovated", None]


def test_a_feature_that_may_be_missing_is_not_required(document: Json, card: Card) -> None:
    optional = {feature.name for feature in card.features if feature.missing}

    assert optional == {"condition", "year_built", "energy"}
    assert optional.isdisjoint(document["components"]["schemas"]["Row"]["required"])


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"energy": None},
        {"rooms": 2.0},
        {"rooms": 2.5},
        {"rooms": 0},
        {"rooms": 31},
        {"area": None},
        {"area": "large"},
        {"area": True},
        {"city": "Atlantis"},
        {"city": None},
        {"colour": "red"},
    ],
)
def test_the_schema_accepts_what_the_service_accepts(
    change: Json, row: Json, question: OAS31Validator, client: FlaskClient
) -> None:
    changed = {**row, **change}
    for features in (changed, [*changed.values()], [changed, row], [[*changed.values()]], [row, [*changed.values()]]):
        body = {"features": features}
        assert question.is_valid(body) == (client.post("/predict", json=body).status_code == 200), features


@pytest.mark.parametrize("body", [{}, [], {"features": []}, {"features": [[]]}, {"features": None}, {"rows": []}])
def test_the_schema_and_the_service_refuse_other_forms(
    body: object, question: OAS31Validator, client: FlaskClient
) -> None:
    assert not question.is_valid(body)
    assert client.post("/predict", json=body).status_code == 400


def test_the_examples_are_the_responses_of_the_service(document: Json, client: FlaskClient) -> None:
    predict = document["paths"]["/predict"]["post"]
    questions = predict["requestBody"]["content"]["application/json"]["examples"]
    answers = predict["responses"]["200"]["content"]["application/json"]["examples"]

    assert questions.keys() == answers.keys()
    for name in questions:
        assert client.post("/predict", json=questions[name]["value"]).json == answers[name]["value"]


def test_every_example_conforms_to_its_schema(document: Json) -> None:
    found = [*media_types(document["paths"])]

    assert len(found) > 3
    for media in found:
        for example in media.get("examples", {}).values():
            OAS31Validator({**document, **media["schema"]}).validate(example["value"])


def media_types(part: object) -> Iterator[Json]:
    """Yield every Media Type Object of a document."""
    if isinstance(part, dict):
        yield from part.get("content", {}).values()
        for inner in part.values():
            yield from media_types(inner)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/version"])
def test_constant_responses_are_described_exactly(path: str, document: Json, client: FlaskClient) -> None:
    schema = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]

    assert client.get(path).json == schema["const"]


def test_limits_are_those_of_the_settings(settings: Settings, predictor: Predictor) -> None:
    app = create_app(replace(settings, max_rows=1), predictor, Drain())
    document = app.test_client().get("/openapi.json").json or {}

    features = document["components"]["schemas"]["Question"]["properties"]["features"]
    assert features["anyOf"][-1]["maxItems"] == 1
    assert "1 rows" in document["paths"]["/predict"]["post"]["responses"]["413"]["description"]
    assert all("prediction" in media["value"] for media in answers(document).values())


def answers(document: Json) -> Json:
    media = document["paths"]["/predict"]["post"]["responses"]["200"]["content"]["application/json"]
    return dict(media["examples"])


def test_a_route_brings_its_own_operation(settings: Settings, card: Card) -> None:
    reply = Reply(b"{}")
    operation = {"responses": {"200": {"description": "Here."}}}
    routes = [
        Route("GET", "/v2", lambda _: reply, problem.handle_error, operation),
        Route("GET", "/hidden", lambda _: reply, problem.handle_error),
    ]

    document = openapi.make_document(settings, card, routes)

    assert document["paths"] == {"/v2": {"get": operation}}


def test_a_bare_feature_has_a_bare_schema(settings: Settings, card: Card) -> None:
    bare = msgspec.structs.replace(card, features=(Feature("x", "number"),))

    schemas = openapi.make_document(settings, bare, [])["components"]["schemas"]

    assert schemas["Row"]["properties"] == {"x": {"type": "number"}}
    assert schemas["Values"]["prefixItems"] == [{"title": "x", "type": "number"}]


def test_required_keys_are_described(settings: Settings, predictor: Predictor) -> None:
    app = create_app(
        replace(settings, api_keys=Settings.from_environment({"API_KEYS": "k" * 40}).api_keys), predictor, Drain()
    )
    document = app.test_client().get("/openapi.json", headers={"Authorization": f"Bearer {'k' * 40}"}).json or {}
    OpenAPIV31SpecValidator(document).validate()

    assert document["components"]["securitySchemes"] == {"key": {"type": "http", "scheme": "bearer"}}
    assert document["paths"]["/predict"]["post"]["security"] == [{"key": []}]
    assert "401" in document["paths"]["/predict"]["post"]["responses"]
    assert "security" not in document["paths"]["/healthz"]["get"]


def test_a_406_is_described_where_it_can_occur(document: Json) -> None:
    assert "406" in document["paths"]["/predict"]["post"]["responses"]
    assert "406" not in document["paths"]["/healthz"]["get"]["responses"]
