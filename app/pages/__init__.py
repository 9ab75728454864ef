"""The pages for people, made from the card: a form at /, the documentation at /docs, and their static files.

They load nothing from other hosts; the content security policy in app.middleware forbids it.
"""

from __future__ import annotations

import functools
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app import problem
from app.openapi import simplify
from app.route import Reply, Route

if TYPE_CHECKING:
    from app.model import Card
    from app.openapi import Document
    from app.settings import Settings

_HERE = Path(__file__).parent
_HTML = "text/html; charset=utf-8"
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


def make_routes(settings: Settings, card: Card, document: Document) -> list[Route]:
    """Make the routes of the pages; `document` is what /openapi.json serves."""
    templates = Environment(loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined)
    templates.filters |= {
        "words": _split_words,
        "digits": _round,
        "number": _format_number,
        "unit": _format_unit,
    }

    @functools.cache  # rendered at the first visit: compiling templates at every start would take 20 ms
    def render(name: str) -> Reply:
        values = {"card": card, "document": document, "examples": _make_examples(settings.port, document), "page": name}
        return Reply(templates.get_template(f"{name}.html").render(values).encode(), _HTML)

    files = {path.name: Reply(path.read_bytes(), _TYPES[path.suffix]) for path in (_HERE / "static").iterdir()}
    return [
        Route("GET", "/", lambda _environ: render("form"), problem.handle_error),
        Route("GET", "/docs", lambda _environ: render("docs"), problem.handle_error),
        *(_make_route(f"/static/{name}", reply) for name, reply in files.items()),
    ]


def _make_route(path: str, reply: Reply) -> Route:
    return Route("GET", path, lambda _environ: reply, problem.handle_error)


def _make_examples(port: int, document: Document) -> dict[str, dict[str, str]]:
    """Return the examples of /predict as commands, with their answers."""
    predict = document["paths"]["/predict"]["post"]
    questions = predict["requestBody"]["content"]["application/json"]["examples"]
    answers = predict["responses"]["200"]["content"]["application/json"]["examples"]
    curl = f"curl http://localhost:{port}/predict -H 'Content-Type: application/json' -d "
    return {
        name: {
            "command": curl + shlex.quote(_format_json(questions[name]["value"])),
            "answer": _format_json(answers[name]["value"]),
        }
        for name in questions
    }


def _format_json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=0).decode()


def _split_words(name: str) -> str:
    return name.replace("_", " ")


def _format_number(value: float) -> str:
    return str(simplify(value))


def _round(value: float) -> str:
    """Format a measure with its significant digits, and separators between thousands."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _format_unit(unit: str | None) -> str:
    return f" {unit}" if unit else ""
