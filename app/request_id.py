"""The name of one request, by which client, proxies and log speak of the same one."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.route import Environ

_GIVEN = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
# https://www.w3.org/TR/trace-context/#traceparent-header-field-values; a version after 00 may carry more.
_TRACEPARENT = re.compile(
    r"(?:00(?=.{53}$)|(?!00|ff)[0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.{0,200})?"
)


def request_id(environ: Environ) -> str:
    """Take X-Request-ID, else the trace id of `traceparent`, where they are well-formed; else make one."""
    given: str | None = environ.get("HTTP_X_REQUEST_ID")
    if given and _GIVEN.fullmatch(given):
        return given
    parent = environ.get("HTTP_TRACEPARENT")
    if parent and (match := _TRACEPARENT.fullmatch(parent)):
        return match[1]
    return f"{random.getrandbits(128):032x}"  # not a secret; seeded anew in each worker
