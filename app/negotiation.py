"""Content negotiation (RFC 9110, section 12.5.1): whether an Accept header allows what a route answers with."""

from __future__ import annotations

from werkzeug.http import parse_accept_header

_ANYTHING = ("", "*/*")  # what nearly every client sends


def is_acceptable(accept: str, offers: tuple[str, ...]) -> bool:
    """Whether `accept` allows one of the media types in `offers`; parameters such as a charset are ignored."""
    if accept in _ANYTHING or accept in offers:
        return True
    ranges = {text.partition(";")[0].strip().lower(): quality for text, quality in parse_accept_header(accept)}
    return any(_find_quality(ranges, offer) > 0 for offer in offers)


def _find_quality(ranges: dict[str, float], offer: str) -> float:
    """Return the quality of the most specific range that matches `offer`, 0 if none does."""
    whole_type = f"{offer.partition('/')[0]}/*"
    return next((ranges[each] for each in (offer, whole_type, "*/*") if each in ranges), 0)
