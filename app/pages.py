"""The pages for people, made from the card: a form at /, the documentation at /docs, and what they are built of.

They load nothing from elsewhere, and the policy that the door gives them forbids it.
"""

from __future__ import annotations

import functools
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app import problem
from app.openapi import plain
from app.route import Reply, Route

if TYPE_CHECKING:
    from app.model import Card
    from app.openapi import Document
    from app.settings import Settings

_HERE = Path(__file__).parent
_HTML = "text/html; charset=utf-8"
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


def routes(settings: Settings, card: Card, document: Document) -> list[Route]:
    """Give the pages' routes; `document` is what /openapi.json says."""
    templates = Environment(loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined)
    templates.filters |= {"words": _words, "digits": _digits, "number": _number, "unit": _unit}

    @functools.cache  # at the first visit: compiling templates would cost every start 20 ms
    def page(name: str) -> Reply:
        values = {"card": card, "document": document, "examples": _examples(settings.port, document), "page": name}
        return Reply(templates.get_template(f"{name}.html").render(values).encode(), _HTML)

    files = {path.name: Reply(path.read_bytes(), _TYPES[path.suffix]) for path in (_HERE / "static").iterdir()}
    return [
        Route("GET", "/", lambda _environ: page("form"), problem.refuse),
        Route("GET", "/docs", lambda _environ: page("docs"), problem.refuse),
        *(_constant(f"/static/{name}", reply) for name, reply in files.items()),
    ]


def _constant(path: str, reply: Reply) -> Route:
    return Route("GET", path, lambda _environ: reply, problem.refuse)


def _examples(port: int, document: Document) -> dict[str, dict[str, str]]:
    """Give the questions of /predict as commands, and their answers."""
    predict = document["paths"]["/predict"]["post"]
    questions = predict["requestBody"]["content"]["application/json"]["examples"]
    answers = predict["responses"]["200"]["content"]["application/json"]["examples"]
    curl = f"curl http://localhost:{port}/predict -H 'Content-Type: application/json' -d "
    return {
        name: {"command": curl + shlex.quote(_json(questions[name]["value"])), "answer": _json(answers[name]["value"])}
        for name in questions
    }


def _json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=0).decode()


def _words(name: str) -> str:
    return name.replace("_", " ")


def _number(value: float) -> str:
    return str(plain(value))


def _digits(value: float) -> str:
    """Write a measure with the digits that mean something, thousands apart."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _unit(unit: str | None) -> str:
    return f" {unit}" if unit else ""
