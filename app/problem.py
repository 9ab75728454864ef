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
    """The document; invalid rows add `errors` and `more`, the number of errors not listed."""

    title: str
    status: int
    detail: str
    errors: tuple[Finding, ...] = ()
    more: int = 0


def make_reply(
    status: int,
    detail: str,
    errors: tuple[Finding, ...] = (),
    more: int = 0,
    headers: tuple[tuple[str, str], ...] = (),
) -> Reply:
    """Make a reply with a problem document; its type is "about:blank", so its title is the name of the status."""
    document = Problem(HTTPStatus(status).phrase, status, detail, errors, more)
    return Reply(msgspec.json.encode(document), CONTENT_TYPE, status, headers)


def handle_error(error: Exception) -> Reply:
    """Turn an exception into a problem document; an unexpected one is logged, and nothing of it is shown."""
    if isinstance(error, RowsError):
        unpredictable = isinstance(error, PredictionError)
        status = HTTPStatus.UNPROCESSABLE_ENTITY if unpredictable else HTTPStatus.BAD_REQUEST
        return make_reply(status, _summarize(error), error.findings, error.more)
    if isinstance(error, HTTPException) and error.code:
        allowed = tuple((name, value) for name, value in error.get_headers() if name == "Allow")
        return make_reply(error.code, error.description or "", headers=allowed)
    _log.error("unexpected error", exc_info=error)
    return make_reply(HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed: its log says why.")


def _summarize(error: RowsError) -> str:
    count = len(error.findings) + error.more
    return "1 value is invalid." if count == 1 else f"{count} values are invalid."
