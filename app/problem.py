"""Errors as problem documents (RFC 9457): what went wrong, for programs and for people."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from flask import Flask, Response, current_app
from werkzeug.exceptions import HTTPException

from app.model import Finding, RowsError

CONTENT_TYPE = "application/problem+json"


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The document; `errors` and `more` (how many errors are not listed) come with invalid rows."""

    title: str
    status: int
    detail: str
    errors: tuple[Finding, ...] = ()
    more: int = 0


def respond(status: int, detail: str, errors: tuple[Finding, ...] = (), more: int = 0) -> Response:
    """Answer with a problem document; its type is "about:blank", so its title is the status's own name."""
    body = msgspec.json.encode(Problem(HTTPStatus(status).phrase, status, detail, errors, more))
    return Response(body, status=status, content_type=CONTENT_TYPE)


def register(app: Flask) -> None:
    """Make every error of the application a problem document."""
    app.register_error_handler(RowsError, _rows)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def _rows(error: RowsError) -> Response:
    count = len(error.findings) + error.more
    noun = "value is" if count == 1 else "values are"
    return respond(HTTPStatus.BAD_REQUEST, f"{count} {noun} not what the model takes.", error.findings, error.more)


def _http(error: HTTPException) -> Response:
    response = respond(error.code or HTTPStatus.INTERNAL_SERVER_ERROR, error.description or "")
    for name, value in error.get_headers():
        if name == "Allow":
            response.headers[name] = value
    return response


def _unexpected(error: Exception) -> Response:
    current_app.logger.error("unexpected error", exc_info=error)
    return respond(HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed; its log says why.")
