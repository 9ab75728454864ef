"""Errors as problem documents (RFC 9457): what went wrong, for programs and for people."""

from __future__ import annotations

import logging
from http import HTTPStatus

import msgspec
from werkzeug.exceptions import HTTPException

from app.model import Finding, PredictionError, RowsError
from app.route import Reply

CONTENT_TYPE = "application/problem+json"

_log = logging.getLogger(__name__)


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The document; `errors` and `more` (how many errors are not listed) come with invalid rows."""

    title: str
    status: int
    detail: str
    errors: tuple[Finding, ...] = ()
    more: int = 0


def problem(
    status: int,
    detail: str,
    errors: tuple[Finding, ...] = (),
    more: int = 0,
    headers: tuple[tuple[str, str], ...] = (),
) -> Reply:
    """Make a problem document; its type is "about:blank", so its title is the status's own name."""
    document = Problem(HTTPStatus(status).phrase, status, detail, errors, more)
    return Reply(msgspec.json.encode(document), CONTENT_TYPE, status, headers)


def refuse(error: Exception) -> Reply:
    """Turn what a route raised into a problem document; the unexpected is logged, and shows nothing of itself."""
    if isinstance(error, RowsError):
        unpredictable = isinstance(error, PredictionError)
        status = HTTPStatus.UNPROCESSABLE_ENTITY if unpredictable else HTTPStatus.BAD_REQUEST
        return problem(status, summary(error), error.findings, error.more)
    if isinstance(error, HTTPException) and error.code:
        allowed = tuple((name, value) for name, value in error.get_headers() if name == "Allow")
        return problem(error.code, error.description or "", headers=allowed)
    _log.error("unexpected error", exc_info=error)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed; its log says why.")


def summary(error: RowsError) -> str:
    """Say in a sentence how much of a request is wrong."""
    count = len(error.findings) + error.more
    noun = "value is" if count == 1 else "values are"
    return f"{count} {noun} not what the model takes."
