"""A hostile client: `python -m tests.integration.hostile PORT SEED COUNT BODY` prints the answers that it got.

It speaks HTTP through raw sockets, because no client library would send most of this. The same seed sends the same.
MODEL in the environment is the model's name.
"""

import gzip
import json
import os
import random
import socket
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

TIMEOUT_SECONDS = 20
LONGEST = 60_000  # a longer body that no route reads may end its connection
PIPELINED = 24  # requests on one connection; the last may be one that ends it
SHOWN = 10

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE")
PATHS = (
    "/predict", "/predict/", "//predict", "/predict?features=1", "/predict;x", "/%70redict", "/PREDICT", "/", "/docs",
    "/openapi.json", "/healthz", "/readyz", "/version", "/metrics", "/static/form.js", "/static/", "/static/..",
    "/static/%2e%2e/__init__.py", "/static/..%2f..%2fetc%2fpasswd", "/../etc/passwd", "/%00", "/%ff%fe", "/%zz", "/%",
    "/%F0%9F%8F%A0", "/?%ff=%00", "/a" * 500, "/.git/config", "/v2", "/v2/models/x/infer", "/v1/models/x:predict",
    "/invocations", "/ping", "/\\", "/predict%0d%0aX-Injected:%201", "/{{7*7}}", "/'%20OR%201=1--",
)  # fmt: skip
CONTENT_TYPES = (
    "application/json", "application/json; charset=utf-16", "APPLICATION/JSON ; x=\"", "application/vnd.x+json",
    "text/plain", "text/csv", "application/x-www-form-urlencoded", "multipart/form-data",
    "multipart/form-data; boundary=", "application/octet-stream", "", ";", "/", "json", "application/json, text/html",
    "\xff\xfe", "a" * 3000,
)  # fmt: skip
HEADERS = (
    ("Accept", "text/html;q=x, */*;q=9"), ("Accept", ""), ("Accept", "," * 500), ("Accept-Encoding", "gzip;q=nan"),
    ("Content-Encoding", "gzip"), ("Content-Encoding", "br, br, br"), ("Authorization", "Bearer \xff\xfe"),
    ("Authorization", "Basic ===="), ("Authorization", "Bearer"), ("Cookie", "a=\"; b; =; " * 50),
    ("Range", "bytes=9-1"), ("If-Modified-Since", "yesterday"), ("If-None-Match", "\""), ("X-Request-ID", "x" * 5000),
    ("X-Request-ID", "%0a\t\""), ("traceparent", "00-zz-zz-01"), ("X-Forwarded-For", "::::"),
    ("X-Forwarded-Proto", "gopher"), ("Forwarded", "for=;"), ("X-HTTP-Method-Override", "DELETE"), ("Origin", "null"),
    ("Connection", "upgrade"), ("X-Script-Name", "/x"), ("Inference-Header-Content-Length", "-1"),
    ("Inference-Header-Content-Length", "9" * 40), ("Accept-Language", "\xe9"), ("Referer", "javascript:1"),
    ("Te", "trailers, chunked;q=0"),
)  # fmt: skip
VALUES = (
    "NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e-400", "-0.0", "9" * 400, "9" * 5000, "-" + "9" * 30, "0x10",
    "1_000", "1.", ".5", "+1", "01", "true", "null", "[]", "{}", "[[[[]]]]", '""', '"\\ud800"', '"\\udc00\\ud800"',
    '"\\u0000"', '"\\uFFFF"', '"\u202e\u0000"', '"' + "a" * 4000 + '"', '"\\x"', "'", "undefined", "1e5", "1.5e308",
    "2.5", "1e999999999999", '{"a":{"a":{"a":1}}}', '"é"', '"e\u0301"', '"\U0001f3e0"', "\u00a0", "[null]", '"null"',
    '"1; DROP TABLE houses"', "18446744073709551616", "-9223372036854775809", "1.7976931348623157e309", "5e-324",
)  # fmt: skip
# Questions in other protocols: a hostile value for each VALUE, a valid row for ROW, a feature for NUMBER and TEXT.
PROTOCOLS = {
    f"/v1/models/{os.environ.get('MODEL', 'x')}:predict": (
        '{"instances": VALUE}', '{"instances": [VALUE]}', '{"instances": [ROW, VALUE]}', '{"instances": [ROW]}',
        '{"instances": [ROW], "parameters": VALUE}', '{"instances": [ROW], "signature_name": VALUE}',
    ),
    "/invocations": (
        '{"dataframe_split": VALUE}', '{"dataframe_split": {"columns": [NUMBER, VALUE], "data": [[VALUE, VALUE]]}}',
        '{"dataframe_split": {"columns": VALUE, "data": VALUE, "index": VALUE}}', '{"dataframe_records": [ROW, VALUE]}',
        '{"dataframe_records": VALUE}', '{"inputs": VALUE}', '{"inputs": {NUMBER: [VALUE], TEXT: VALUE}}',
        '{"inputs": [ROW], "instances": [ROW]}', '{"instances": [ROW], "params": VALUE}', "NUMBER,TEXT\nVALUE,VALUE\n",
    ),
    f"/v2/models/{os.environ.get('MODEL', 'x')}/infer": (
        '{"inputs": VALUE}', '{"inputs": [VALUE], "outputs": [VALUE], "id": VALUE, "parameters": VALUE}',
        '{"inputs": [{"name": VALUE, "shape": VALUE, "datatype": VALUE, "data": VALUE}]}',
        '{"inputs": [{"name": NUMBER, "shape": [1, VALUE], "datatype": "FP64", "data": [VALUE]}]}',
        '{"inputs": [{"name": NUMBER, "shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": VALUE}}]}',
        '{"inputs": [{"name": TEXT, "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": 9}}]}',
    ),
}  # fmt: skip
DEPTHS = (10, 500, 1_100, 30_000)
CODINGS = ("identity", "gzip, chunked", "chunked, chunked", "xchunked", "chunked\x0b", "", "ChunKed, identity")
VERSIONS = ("1.0", "0.9", "1.2", "2", "9.9", "1.1.1", "x")
LENGTHS = (
    "-1", "+5", "0x10", "1e3", "5 5", "5,5", "99999999999999999999", "\xb2", "", "NaN", " ", "1\t2", "\xd9\xa3",
)  # fmt: skip
CODECS = ("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-7", "cp037", "latin-1")


@dataclass(frozen=True)
class Message:
    """The bytes of one request; `last` if the connection cannot be used after it."""

    content: bytes
    method: str = "POST"
    last: bool = False


@dataclass
class Report:
    """The number of answers by status, and everything that should never happen."""

    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def attack(port: int, seed: int, count: int, body: bytes) -> Report:
    """Send `count` variations of a valid request with `body` to /predict."""
    chance, report = random.Random(seed), Report()  # noqa: S311 - to be repeated, not to be secret
    while report.sent < count:
        plan = [framed(chance, body) for _ in range(chance.randrange(PIPELINED))]
        plan.append(chance.choice(ENDINGS)(chance, body))
        report.sent += len(plan)
        content = b"".join(message.content for message in plan)
        try:
            statuses = answers(exchange(port, content), [message.method for message in plan])
        except (OSError, ValueError) as broken:
            wrong = f"{broken!r}"
        else:
            report.statuses.update(statuses)
            expected = len(plan) - plan[-1].last
            short = f"{len(statuses)} answers to {len(plan)} requests" if len(statuses) < expected else ""
            wrong = next((f"status {status}" for status in statuses if status >= 500), short)
        if wrong:
            report.wrong.append(f"seed {seed}, request {report.sent}: {wrong} after {plan[-1].content[:300]!r}")
    return report


def exchange(port: int, content: bytes) -> bytes:
    """Send `content`, close the sending side, and return everything that comes back."""
    received = bytearray()
    with socket.create_connection(("localhost", port), timeout=TIMEOUT_SECONDS) as wire:
        try:
            wire.sendall(content)
            wire.shutdown(socket.SHUT_WR)
            while part := wire.recv(1 << 16):
                received += part
        except TimeoutError:
            raise
        except OSError:
            pass  # a server may hang up on somebody like us
    return bytes(received)


def answers(received: bytes, methods: list[str]) -> list[int]:
    """Read the statuses of successive responses; raises ValueError when they are not HTTP."""
    statuses: list[int] = []
    while received:
        head, end, rest = received.partition(b"\r\n\r\n")
        version, status, *_ = head.split(b"\r\n", 1)[0].split(b" ", 2)
        if not version.startswith(b"HTTP/1.") or not end:
            raise ValueError(f"no HTTP in {received[:200]!r}")
        if status.startswith(b"1"):
            received = rest
            continue
        bodiless = len(statuses) < len(methods) and methods[len(statuses)] == "HEAD"
        statuses.append(int(status))
        received = rest[0 if bodiless else length(head) :]
    return statuses


def length(head: bytes) -> int:
    lines = (line.partition(b":") for line in head.split(b"\r\n")[1:])
    return next((int(value) for name, _, value in lines if name.lower() == b"content-length"), 0)


def request(
    method: str, path: str, headers: list[tuple[str, str]], content: bytes = b"", version: str = "1.1"
) -> bytes:
    lines = [f"{method} {path} HTTP/{version}", "Host: localhost", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + content


def framed(chance: random.Random, body: bytes) -> Message:
    """Make a request with a true length, whatever else is wrong with it."""
    method = "POST" if chance.random() < 0.7 else chance.choice(METHODS)
    kind = "application/json" if chance.random() < 0.8 else chance.choice(CONTENT_TYPES)
    headers = [("Content-Type", kind)]
    if chance.random() < 0.2:
        path, content, more = in_protocol(chance, body)
        headers += more
    else:
        path = "/predict" if chance.random() < 0.7 else chance.choice(PATHS)
        content = chance.choice(BODIES)(chance, body)[:LONGEST]
    if chance.random() < 0.3:
        headers += chance.choices(HEADERS, k=2)
    if chance.random() < 0.15:
        size, sent = ("Transfer-Encoding", "chunked"), chunks(chance, content)
    else:
        size, sent = ("Content-Length", str(len(content))), content
    return Message(request(method, path, [*headers, size], sent), method)


def in_protocol(chance: random.Random, body: bytes) -> tuple[str, bytes, list[tuple[str, str]]]:
    """Make a request of another protocol: its path, body and headers."""
    path = chance.choice([*PROTOCOLS])
    row: dict[str, Any] = json.loads(body)["features"]
    names = [json.dumps(name) for name in sorted(row, key=lambda name: isinstance(row[name], str))]
    question = chance.choice(PROTOCOLS[path]).replace("NUMBER", names[0]).replace("TEXT", names[-1])
    parts = question.replace("ROW", json.dumps(row)).split("VALUE")
    content = "".join(part + chance.choice(VALUES) for part in parts[:-1]) + parts[-1]
    if path.startswith("/v2") and chance.random() < 0.5:
        size = chance.choice((len(content), len(content) - 1, 0, 10**9))
        tensors = chance.choice((b"", bytes(9), b"\5\0\0\0Paris", b"\xff" * 9, chance.randbytes(9)))
        return path, content.encode() + tensors, [("Inference-Header-Content-Length", str(size))]
    return path, content.encode(), []


def chunks(chance: random.Random, content: bytes) -> bytes:
    """Cut a body into chunks, with an extension on some."""
    cut, parts = 0, []
    while cut < len(content):
        part = content[cut : cut + chance.randint(1, len(content))]
        cut += len(part)
        parts.append(b"%x%s\r\n%s\r\n" % (len(part), chance.choice((b"", b";x=1", b";a;b")), part))
    return b"".join([*parts, b"0\r\n\r\n"])


def other_value(chance: random.Random, body: bytes) -> bytes:
    document: dict[str, Any] = json.loads(body)
    name = chance.choice([*document["features"], "features", "x" * chance.choice((1, 5_000)), "\ud800"])
    document["features"][name] = "HERE"
    return json.dumps(document).replace('"HERE"', chance.choice(VALUES)).encode()


def as_list(chance: random.Random, body: bytes) -> bytes:
    values = [json.dumps(value) for value in json.loads(body)["features"].values()]
    for _ in range(chance.randrange(3)):
        values[chance.randrange(len(values))] = chance.choice(VALUES)
    row = f"[{', '.join(values[: chance.choice((len(values), chance.randrange(len(values) + 1)))])}]"
    rows = f"[{', '.join([row] * chance.randrange(20))}]"
    return f'{{"features": {chance.choice((row, rows))}}}'.encode()


def flipped(chance: random.Random, body: bytes) -> bytes:
    changed = bytearray(body)
    for _ in range(chance.randint(1, 4)):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def cut(chance: random.Random, body: bytes) -> bytes:
    start = chance.randrange(len(body))
    return chance.choice((body[:start], body[start:], body + body[start:], body[:start] + b"\0" + body[start:]))


def nested(chance: random.Random, _body: bytes) -> bytes:
    depth = chance.choice(DEPTHS)
    opening, closing = chance.choice(((b"[", b"]"), (b'{"features":', b"}"), (b'{"features":[', b"]}")))
    return b'{"features":' + opening * depth + b"1" + closing * chance.choice((depth, 0)) + b"}"


def encoded(chance: random.Random, body: bytes) -> bytes:
    return body.decode().encode(chance.choice(CODECS))


def noise(chance: random.Random, _body: bytes) -> bytes:
    return chance.randbytes(chance.choice((0, 1, 10, 1000)))


def repeated(chance: random.Random, body: bytes) -> bytes:
    return chance.choice(
        (body[:-1] + b', "features": 1}', body[:-1] + b', "x": 1}', body * 2, b"[" + body + b"]", b" " * 9_000 + body)
    )


def zipped(_chance: random.Random, body: bytes) -> bytes:
    return gzip.compress(body, mtime=0)


def unchanged(_chance: random.Random, body: bytes) -> bytes:
    return body


BODIES: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    other_value, other_value, other_value, as_list, flipped, cut, nested, encoded, noise, repeated, zipped, unchanged,
)  # fmt: skip


def plain_end(chance: random.Random, body: bytes) -> Message:
    return framed(chance, body)


def old(chance: random.Random, body: bytes) -> Message:
    headers = [("Content-Length", str(len(body))), ("Content-Type", "application/json")]
    return Message(request("POST", "/predict", headers, body, chance.choice(VERSIONS)), last=True)


def broken_head(chance: random.Random, body: bytes) -> Message:
    """Headers that HTTP forbids (RFC 9112), or that two parsers read differently (request smuggling)."""
    sizes = (len(body), 0, 1, len(body) + 9)
    size = chance.choice(sizes)
    lines = chance.choice((
        f"Content-Length: {size}\r\nContent-Length: {chance.choice(sizes)}",
        f"Content-Length: {chance.choice(LENGTHS)}",
        f"Content-Length: {size}\r\nTransfer-Encoding: chunked",
        f"Transfer-Encoding: {chance.choice(CODINGS)}",
        f"Transfer-Encoding : chunked\r\nContent-Length: {size}",
        f"Transfer_Encoding: chunked\r\nContent_Length: {size}",
        f"Content-Length: {size}\r\n folded: 1",
        "no colon",
        ": no name",
        "X: \x00",
        "X: a\rb",
        "X: a\nContent-Length: 1",
        "Host: a\r\nHost: b",
        "Host: \xff@[::",
        f"X: {'a' * 100_000}",
        "\r\n".join(f"X-{number}: 1" for number in range(300)),
        f"Connection: close\r\nContent-Length: {size}",
        f"Expect: 200-maybe\r\nContent-Length: {size}",
        f"Expect: 100-continue\r\nContent-Length: {size}",
        "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: eA==",
    ))  # fmt: skip
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{lines}\r\n\r\n"
    return Message(head.encode("latin-1") + body, last=True)


def broken_line(chance: random.Random, _body: bytes) -> Message:
    """A malformed request line."""
    line = chance.choice((
        b"", b"\r\n\r\n", b"GET /", b"GET /\r\n", b"GET\r\n\r\n", b"GET  / HTTP/1.1\r\n\r\n",
        b"G\xffT / HTTP/1.1\r\n\r\n", b"GET http://elsewhere/predict HTTP/1.1\r\n\r\n",
        b"CONNECT elsewhere:443 HTTP/1.1\r\n\r\n", b"OPTIONS * HTTP/1.1\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\n\n", b"get / http/1.1\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\n\r\n", b"GET * HTTP/1.1\r\n\r\n", b"GET predict HTTP/1.1\r\n\r\n",
        b"GET ?x HTTP/1.1\r\n\r\n", b"GET # HTTP/1.1\r\n\r\n", b"GET //[ HTTP/1.1\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\n\r\n", b"GET \xe2\x82\xac HTTP/1.1\r\n\r\n", b"A" * 300 + b" / HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\nGET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300), b"SSH-2.0-x\r\n", b"\0" * 100, b"EHLO x\r\n",
        chance.randbytes(200), b"GET / HTTP/1.1\r\nHost: x\r\n", b"GET / HTTP/1.1\r\nHost", b"0\r\n\r\n",
    ))  # fmt: skip
    return Message(line, "GET", last=True)


def broken_chunks(chance: random.Random, body: bytes) -> Message:
    head = request("POST", "/predict", [("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")])
    size = b"%x" % len(body)
    return Message(head + chance.choice((
        size + b"\r\n" + body, size + b"\r\n" + body + b"\r\n", size + b"\n" + body + b"\n0\n\n", b"-1\r\n\r\n",
        b"zz\r\n" + body, b"f" * 40 + b"\r\n" + body, b"1\r\n" + body, size + b"\r\n" + body[:9], b"", b"\r\n\r\n",
        b"0", b"0\r\n", b"0x5\r\nabcde\r\n0\r\n\r\n", size + b";" + b"x" * 50_000 + b"\r\n" + body + b"\r\n0\r\n\r\n",
        size + b"\r\n" + body + b"XX0\r\n\r\n", size + b"\r\n" + body + b"\r\n0\r\nX: \0\r\n\r\n",
        size + b"\r\n" + body + b"\r\n0\r\nContent-Length: 3\r\n\r\nabc",
        size + b"\r\n" + body + b"\r\n0\r\n" + b"X: 1\r\n" * 9_000 + b"\r\n",
        b" " + size + b"\r\n" + body + b"\r\n0\r\n\r\n",
    )), last=True)  # fmt: skip


def broken_off(chance: random.Random, body: bytes) -> Message:
    """A body that is shorter than announced; sometimes one that is far too long."""
    if chance.random() < 0.01:
        content, size = b" " * (5 << 20), 5 << 20
    else:
        content, size = body[: chance.randrange(len(body))], chance.choice((len(body), 10**6, 10**9, 10**18))
    headers = [("Content-Type", "application/json"), ("Content-Length", str(size))]
    return Message(request("POST", "/predict", headers, content), last=True)


ENDINGS: tuple[Callable[[random.Random, bytes], Message], ...] = (
    plain_end, old, broken_head, broken_head, broken_line, broken_chunks, broken_off,
)  # fmt: skip


if __name__ == "__main__":
    _, port_, seed_, count_, body_ = sys.argv
    made = attack(int(port_), int(seed_), int(count_), body_.encode())
    summary = {"sent": made.sent, "statuses": made.statuses, "wrong": made.wrong[:SHOWN]}
    print(json.dumps(summary))  # noqa: T201 - what the test reads
