"""What is asked of OSV, and what counts as an answer. The replies have the shapes of its documentation."""

import json
from typing import Any

import pytest

from scripts.errors import Failure
from scripts.vulnerabilities.osv import PUBLIC, Query, Unanswered, address, advisories

OPENSSL = Query("Debian:13", "openssl", "3.5.7-1")
FLASK = Query("PyPI", "flask", "3.1.3")
CONTROLS = {"openssl 1.0.1e-1", "jinja2 2.4.1"}


class Service:
    """OSV as its documentation has it, with `pages` of identifiers by package, one page a request."""

    def __init__(self, pages: dict[str, list[list[str]]], **override: bytes) -> None:
        self.pages = pages
        self.override = override
        self.batches: list[list[dict[str, Any]]] = []

    def __call__(self, path: str, body: bytes | None) -> bytes:
        if body is None:
            name = path.removeprefix("/v1/vulns/")
            return self.override.get("vulns") or json.dumps({"id": name, "modified": "2026-01-01T00:00:00Z"}).encode()
        queries = json.loads(body)["queries"]
        self.batches.append(queries)
        if len(self.batches) > 1 and "batch" in self.override:  # the first asks for what is known to be vulnerable
            return self.override["batch"]
        return json.dumps({"results": [self.result(query) for query in queries]}).encode()

    def result(self, query: dict[str, Any]) -> dict[str, Any]:
        if f"{query['package']['name']} {query['version']}" in CONTROLS:
            return {"vulns": [{"id": "CVE-2014-0160", "modified": "2023-03-14T05:47:39.989396Z"}]}
        pages = self.pages.get(query["package"]["name"], [])
        number = int(query.get("page_token", 0))
        if not pages:
            return {}
        found: dict[str, Any] = {"vulns": [{"id": one, "modified": "2023-03-14T05:47:39Z"} for one in pages[number]]}
        return found | ({"next_page_token": str(number + 1)} if number + 1 < len(pages) else {})


def test_a_package_is_asked_for_by_its_ecosystem_and_not_by_its_url() -> None:
    service = Service({})
    found = advisories([FLASK, OPENSSL, FLASK], service)

    assert found == {OPENSSL: [], FLASK: []}
    assert service.batches[1] == [
        {"package": {"ecosystem": "Debian:13", "name": "openssl"}, "version": "3.5.7-1"},
        {"package": {"ecosystem": "PyPI", "name": "flask"}, "version": "3.1.3"},
    ]


def test_every_page_is_read() -> None:
    service = Service({"openssl": [["A", "B"], ["C"], ["D"]], "flask": [["E"]]})
    found = advisories([OPENSSL, FLASK], service)

    assert [one.id for one in found[OPENSSL]] == ["A", "B", "C", "D"]
    assert [one.id for one in found[FLASK]] == ["E"]
    assert [len(batch) for batch in service.batches] == [2, 2, 1, 1]


def test_a_batch_has_a_thousand_queries_at_most() -> None:
    service = Service({})
    advisories([Query("PyPI", f"package{number}", "1") for number in range(2001)], service)

    assert [len(batch) for batch in service.batches[1:]] == [1000, 1000, 1]


def test_where_a_known_vulnerability_is_unknown_nothing_is_known() -> None:
    def ignorant(_path: str, body: bytes | None) -> bytes:
        return json.dumps({"results": [{} for _ in json.loads(body or b"")["queries"]]}).encode()

    with pytest.raises(Unanswered, match=r"openssl 1\.0\.1e-1 in Debian:13"):
        advisories([OPENSSL], ignorant)


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"{}",
        b"<html>Sign in to the network</html>",
        b'{"results": [{}',
        b'{"results": []}',
        b'{"results": [{}, {}]}',
        b'{"results": [{"vulns": [{"modified": "2023-03-14T05:47:39Z"}]}]}',
        b'{"results": [{"vulns": "none"}]}',
        b'{"results": [{"vulns": [{"id": ""}]}]}',
        b'{"results": [{"vulns": [{"id": "../../v1/query"}]}]}',
        b'{"results": [{"vulns": [{"id": "CVE-1\\n"}]}]}',
        b'{"results": [{"vulns": [{"id": "\\u001b[32m"}]}]}',
        b'{"results": [{"vulns": [{"id": "\xff"}]}]}',
        b'{"code": 3, "message": "Invalid ecosystem."}',
    ],
)
def test_a_reply_that_is_none_is_not_an_empty_one(reply: bytes) -> None:
    with pytest.raises(Unanswered):
        advisories([OPENSSL], Service({}, batch=reply))


@pytest.mark.parametrize(
    "reply", [b'{"id": "B"}', b'{"code": 5, "message": "Bug not found."}', b"[]", b'{"id": "A", "aff']
)
def test_a_vulnerability_without_its_advisory_is_not_passed_over(reply: bytes) -> None:
    with pytest.raises(Unanswered):
        advisories([OPENSSL], Service({"openssl": [["A"]]}, vulns=reply))


def test_pages_without_end_are_left() -> None:
    endless = b'{"results": [{"vulns": [{"id": "A"}], "next_page_token": "1"}]}'

    with pytest.raises(Unanswered, match="does not end"):
        advisories([OPENSSL], Service({}, batch=endless))


def test_a_mirror_is_asked_where_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHIP_OSV_API", raising=False)
    assert address() == PUBLIC
    for url in ("http://127.0.0.1:9", "https://osv.example.internal/osv/", "http://[::1]:8080"):
        monkeypatch.setenv("SHIP_OSV_API", url)
        assert address() == url.rstrip("/")


@pytest.mark.parametrize(
    "url", ["osv.example.org", "ftp://osv.example.org", "https://me:secret@osv.example.org", "https://a b", "https://"]
)
def test_a_mirror_that_is_no_url_is_no_missing_answer(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHIP_OSV_API", url)

    with pytest.raises(Failure, match="OSV_API: ") as wrong:
        address()
    assert not isinstance(wrong.value, Unanswered)
