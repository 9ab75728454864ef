"""What every request passes: request id, log, API keys, content negotiation, CORS, headers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any, cast

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.drain import Drain
from app.factory import create_app
from app.middleware import Middleware
from app.model import Predictor
from app.settings import Settings

KEY = "a-key-of-some-length"
DIGEST = hashlib.sha256(KEY.encode()).digest()


def make_client(predictor: Predictor, **settings: Any) -> FlaskClient:
    return create_app(replace(Settings(), **settings), predictor, Drain()).test_client()


def read_log(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capfd.readouterr().out.splitlines()]


def test_the_request_id_is_in_the_response_and_in_the_log(
    client: FlaskClient, row: dict[str, object], capfd: pytest.CaptureFixture[str]
) -> None:
    reply = client.post("/predict", json={"features": [row, row]}, headers={"X-Request-ID": "order-17"})

    [line] = read_log(capfd)
    assert reply.headers["X-Request-ID"] == line["id"] == "order-17"
    assert (line["method"], line["path"], line["status"], line["rows"]) == ("POST", "/predict", 200, 2)
    assert line["bytes"] == len(reply.data)
    assert line["duration_ms"] > 0
    assert line["level"] == "info"


def test_every_response_has_the_common_headers(client: FlaskClient) -> None:
    for reply in (client.get("/version"), client.get("/nowhere"), client.get("/healthz"), client.post("/predict")):
        assert reply.headers["X-Request-ID"]
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Cache-Control"] == "no-store"
        assert len(reply.headers.getlist("Content-Type")) == len(reply.headers.getlist("Content-Length")) == 1


def test_a_page_must_not_load_from_other_hosts_or_be_framed(application: Flask) -> None:
    @application.get("/page")
    def page() -> str:
        return "<p>page</p>"

    reply = application.test_client().get("/page")

    policy = dict(each.split() for each in reply.headers["Content-Security-Policy"].split("; "))
    none, own = ("default-src", "form-action", "base-uri", "frame-ancestors"), ("script", "style", "img", "connect")
    assert policy == dict.fromkeys(none, "'none'") | {f"{kind}-src": "'self'" for kind in own}
    assert reply.headers["Referrer-Policy"] == "no-referrer"
    assert reply.text == "<p>page</p>"


def test_head_is_get_without_the_body(client: FlaskClient) -> None:
    get, head = client.get("/version"), client.head("/version")

    assert head.status_code == 200
    assert head.data == b""
    assert head.headers["Content-Length"] == get.headers["Content-Length"]


def test_probes_are_not_logged(client: FlaskClient, capfd: pytest.CaptureFixture[str]) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        assert client.get(path).status_code == client.head(path).status_code == 200

    assert read_log(capfd) == []


def test_a_long_path_is_cut_off_in_the_log(client: FlaskClient, capfd: pytest.CaptureFixture[str]) -> None:
    client.get("/" + "x" * 3_000)

    [line] = read_log(capfd)
    assert line["path"] == "/" + "x" * 199


def test_the_query_is_not_logged(client: FlaskClient, capfd: pytest.CaptureFixture[str]) -> None:
    client.get("/version?key=secret", headers={"Referer": "http://localhost/?key=secret"})

    output = capfd.readouterr().out
    assert json.loads(output)["path"] == "/version"
    assert "secret" not in output


@pytest.mark.parametrize(
    ("settings", "levels"),
    [
        ({"log_level": "info"}, ["info", "warning"]),
        ({"log_level": "warning"}, ["warning"]),
        ({"log_level": "error"}, []),
        ({"access_log": False}, []),
    ],
)
def test_the_log_level_and_the_access_log_can_be_set(
    settings: dict[str, Any], levels: list[str], predictor: Predictor, capfd: pytest.CaptureFixture[str]
) -> None:
    client = make_client(predictor, **settings)
    client.get("/version")
    client.get("/nowhere")

    assert [line["level"] for line in read_log(capfd)] == levels


@pytest.mark.parametrize("header", [None, "Bearer another-key-entirely", f"Basic {KEY}"])
@pytest.mark.parametrize(("method", "path"), [("POST", "/predict"), ("GET", "/version"), ("GET", "/nowhere")])
def test_without_a_key_everything_except_probes_is_a_401(
    method: str, path: str, header: str | None, predictor: Predictor
) -> None:
    client = make_client(predictor, api_keys=(DIGEST,))

    reply = client.open(path, method=method, headers={"Authorization": header} if header else {})

    assert (reply.status_code, reply.content_type) == (401, "application/problem+json")
    assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert reply.json
    assert reply.json["status"] == 401


OPEN = {"/healthz", "/readyz", "/metrics", "/ping", "/health", "/alive", "/v1/models/house-price"}
OPEN |= {"/v2/health/live", "/v2/health/ready", "/v2/models/house-price/ready"}
OPEN |= {"/v2/models/house-price/versions/1.0.0/ready"}


def test_exactly_the_probes_of_every_protocol_need_no_key(predictor: Predictor) -> None:
    settings = replace(Settings(), api_keys=(DIGEST,), aip_health_route="/alive", aip_predict_route="/ask")
    application = create_app(settings, predictor, Drain())
    client = application.test_client()
    routes = [(method, rule.rule) for rule in application.url_map.iter_rules() for method in rule.methods or ()]

    answered = {(method, path) for method, path in routes if client.open(path, method=method).status_code != 401}

    assert ("POST", "/ask") in routes
    assert answered == {(method, path) for method, path in routes if path in OPEN and method in {"GET", "HEAD"}}


@pytest.mark.parametrize("source", ["api_keys", "api_keys_file"])
def test_keys_from_either_setting_are_required(source: str, predictor: Predictor, row: dict[str, object]) -> None:
    client = make_client(predictor, **{source: (DIGEST,)})
    authorized = {"Authorization": f"Bearer {KEY}"}

    assert client.post("/predict", json={"features": row}).status_code == 401
    assert client.post("/predict", json={"features": row}, headers=authorized).status_code == 200


def test_a_request_without_a_key_gets_only_a_401_and_is_counted(predictor: Predictor) -> None:
    client = make_client(predictor, api_keys=(DIGEST,))

    assert client.get("/version", headers={"Accept": "text/html"}).status_code == 401
    assert 'http_requests_total{method="GET",route="/version",status="401"} 1' in client.get("/metrics").text


def test_any_of_the_keys_is_accepted(predictor: Predictor, row: dict[str, object]) -> None:
    client = make_client(predictor, api_keys=(bytes(32),), api_keys_file=(DIGEST,))
    authorized = {"Authorization": f"Bearer {KEY}"}

    assert client.post("/predict", json={"features": row}, headers=authorized).status_code == 200
    assert client.get("/nowhere", headers=authorized).status_code == 404


def test_probes_need_no_key(predictor: Predictor) -> None:
    client = make_client(predictor, api_keys=(DIGEST,))

    for path in ("/healthz", "/readyz", "/metrics"):
        assert client.get(path).status_code == client.head(path).status_code == 200


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("*/*", 200),
        ("application/json", 200),
        ("application/*;q=0.1, text/html", 200),
        ("text/html, */*;q=0.1", 200),
        ("application/json; charset=utf-8", 200),
        ("Application/JSON", 200),
        ("application/json, */*;q=0", 200),
        ("application/json;q=0, */*", 406),
        ("application/*;q=0, */*", 406),
        ("text/html", 406),
        ("application/json;q=0, text/html", 406),
        ("nonsense", 406),
    ],
)
def test_an_accept_header_that_excludes_json_is_a_406(accept: str, status: int, client: FlaskClient) -> None:
    reply = client.get("/version", headers={"Accept": accept})

    assert reply.status_code == status
    assert status == 200 or reply.content_type == "application/problem+json"


def test_without_the_setting_other_origins_are_not_allowed(client: FlaskClient) -> None:
    reply = client.get("/version", headers={"Origin": "https://a.example"})

    assert not [name for name, _ in reply.headers if name.startswith("Access-Control")]


def send_preflight(client: FlaskClient, origin: str) -> dict[str, str]:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    reply = client.options("/predict", headers=headers)
    assert reply.status_code == 204
    return dict(reply.headers)


def test_a_preflight_from_an_allowed_origin_needs_no_key(predictor: Predictor) -> None:
    client = make_client(predictor, cors_origins=("https://a.example",), api_keys=(DIGEST,))

    named, other = send_preflight(client, "https://a.example"), send_preflight(client, "https://b.example")
    answer = client.get("/version", headers={"Origin": "https://a.example", "Authorization": f"Bearer {KEY}"})

    assert named["Access-Control-Allow-Origin"] == "https://a.example"
    assert named["Access-Control-Allow-Methods"].split(", ") == ["GET", "HEAD", "POST"]
    assert {"Authorization", "Content-Type", "X-Request-ID"} <= {*named["Access-Control-Allow-Headers"].split(", ")}
    assert named["Vary"] == other["Vary"] == "Origin"
    assert "Access-Control-Allow-Origin" not in other
    assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert answer.headers["Access-Control-Expose-Headers"] == "X-Request-ID"


@pytest.mark.parametrize("origins", [("*",), ("https://a.example", "*")])
def test_a_star_allows_every_origin(origins: tuple[str, ...], predictor: Predictor) -> None:
    client = make_client(predictor, cors_origins=origins)

    assert send_preflight(client, "https://b.example")["Access-Control-Allow-Origin"] == "*"


def test_a_page_of_an_allowed_origin_can_read_errors(predictor: Predictor) -> None:
    client = make_client(predictor, cors_origins=("https://a.example",), api_keys=(DIGEST,))

    reply = client.get("/version", headers={"Origin": "https://a.example"})

    assert reply.status_code == 401
    assert reply.headers["Access-Control-Allow-Origin"] == "https://a.example"


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("OPTIONS", {"Origin": "https://a.example"}, 200),
        ("POST", {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}, 415),
    ],
)
def test_only_an_options_request_for_a_method_is_a_preflight(
    method: str, headers: dict[str, str], status: int, predictor: Predictor
) -> None:
    client = make_client(predictor, cors_origins=("https://a.example",))

    assert client.open("/predict", method=method, headers=headers).status_code == status


def test_unfinished_requests_of_a_dead_worker_are_not_in_flight(predictor: Predictor) -> None:
    middleware = cast("Middleware", create_app(replace(Settings(), access_log=False), predictor, Drain()).wsgi_app)
    slot = middleware.meter.claim()

    middleware.start_worker(slot)
    middleware.meter.enter()  # and the worker dies
    middleware.meter.release(slot)

    assert "http_requests_in_flight 0" in [*middleware.meter.expose()]
