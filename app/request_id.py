"""The request id, by which client, proxies and log name the same request."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.route import Environ

_GIVEN = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
# https://www.w3.org/TR/trace-context/#traceparent-header-field-values; a version after 00 may have more fields.
_TRACEPARENT = re.compile(
    r"(?:00(?=.{53}$)|(?!00|ff)[0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.{0,200})?"
)


def choose_request_id(environ: Environ) -> str:
    """Return X-Request-ID, else the trace id of `traceparent`, if they are well-formed; else a new id."""
    given: str | None = environ.get("HTTP_X_REQUEST_ID")
    if given and _GIVEN.fullmatch(given):
        return given
    parent = environ.get("HTTP_TRACEPARENT")
    if parent and (match := _TRACEPARENT.fullmatch(parent)):
        return match[1]
    return f"{random.getrandbits(128):032x}"  # not a secret; each worker has a seed of its own
