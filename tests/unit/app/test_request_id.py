from __future__ import annotations

import re

import pytest

from app.request_id import choose_request_id

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({"HTTP_X_REQUEST_ID": "order-17/a:b.c_d=@+"}, "order-17/a:b.c_d=@+"),
        ({"HTTP_X_REQUEST_ID": "a" * 128}, "a" * 128),
        ({"HTTP_TRACEPARENT": f"00-{TRACE}-00f067aa0ba902b7-01"}, TRACE),
        ({"HTTP_TRACEPARENT": f"01-{TRACE}-00f067aa0ba902b7-01-more"}, TRACE),
        ({"HTTP_X_REQUEST_ID": "mine", "HTTP_TRACEPARENT": f"00-{TRACE}-00f067aa0ba902b7-01"}, "mine"),
        ({"HTTP_X_REQUEST_ID": "", "HTTP_TRACEPARENT": f"00-{TRACE}-00f067aa0ba902b7-01"}, TRACE),
    ],
)
def test_a_well_formed_id_is_kept(headers: dict[str, str], wanted: str) -> None:
    assert choose_request_id(headers) == wanted


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"HTTP_X_REQUEST_ID": "a" * 129},
        {"HTTP_X_REQUEST_ID": "two,ids"},
        {"HTTP_X_REQUEST_ID": "a\nb"},
        {"HTTP_X_REQUEST_ID": "a\n"},
        {"HTTP_X_REQUEST_ID": "é"},
        {"HTTP_TRACEPARENT": f"ff-{TRACE}-00f067aa0ba902b7-01"},
        {"HTTP_TRACEPARENT": f"00-{'0' * 32}-00f067aa0ba902b7-01"},
        {"HTTP_TRACEPARENT": f"00-{TRACE}-{'0' * 16}-01"},
        {"HTTP_TRACEPARENT": f"00-{TRACE}-00f067aa0ba902b7-01-more"},
        {"HTTP_TRACEPARENT": f"00-{TRACE.upper()}-00f067aa0ba902b7-01"},
        {"HTTP_TRACEPARENT": "00"},
    ],
)
def test_any_other_id_is_replaced(headers: dict[str, str]) -> None:
    first, second = choose_request_id(headers), choose_request_id(headers)

    assert first != second
    assert re.fullmatch("[0-9a-f]{32}", first)
