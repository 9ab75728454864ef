"""Content negotiation (RFC 9110, section 12.5.1): whether an Accept header admits what a route answers with."""

from __future__ import annotations

from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

_ANYTHING = ("", "*/*")  # what nearly every client sends


def admits(accept: str, offers: tuple[str, ...]) -> bool:
    """Whether one of the media types in `offers` is acceptable."""
    return accept in _ANYTHING or accept in offers or bool(parse_accept_header(accept, MIMEAccept).best_match(offers))
