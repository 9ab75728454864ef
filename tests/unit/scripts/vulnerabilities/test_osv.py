"""Queries to OSV and its answers, whose replies have the form of its documentation."""

import json
from typing import Any

import pytest

from scripts.errors import Failure
from scripts.vulnerabilities.osv import PUBLIC, Query, Unanswered, api_url, find_advisories

OPENSSL = Query("Debian:13", "openssl", "3.5.7-1")
FLASK = Query("PyPI", "flask", "3.1.3")
CONTROLS = {"openssl 1.0.1e-1", "jinja2 2.4.1"}


class Service:
    """OSV as documented, with `pages` of identifiers by package, one page a request."""

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
        if len(self.batches) > 1 and "batch" in self.override:  # the first is for a known vulnerability
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


def test_a_query_names_ecosystem_and_package_not_a_url() -> None:
    service = Service({})
    found = find_advisories([FLASK, OPENSSL, FLASK], service)

    assert found == {OPENSSL: [], FLASK: []}
    assert service.batches[1] == [
        {"package": {"ecosystem": "Debian:13", "name": "openssl"}, "version": "3.5.7-1"},
        {"package": {"ecosystem": "PyPI", "name": "flask"}, "version": "3.1.3"},
    ]


def test_every_page_is_read() -> None:
    service = Service({"openssl": [["A", "B"], ["C"], ["D"]], "flask": [["E"]]})
    found = find_advisories([OPENSSL, FLASK], service)

    assert [one.id for one in found[OPENSSL]] == ["A", "B", "C", "D"]
    assert [one.id for one in found[FLASK]] == ["E"]
    assert [len(batch) for batch in service.batches] == [2, 2, 1, 1]


def test_a_batch_has_a_thousand_queries_at_most() -> None:
    service = Service({})
    find_advisories([Query("PyPI", f"package{number}", "1") for number in range(2001)], service)

    assert [len(batch) for batch in service.batches[1:]] == [1000, 1000, 1]


def test_a_service_that_lacks_a_known_vulnerability_is_not_trusted() -> None:
    def answer_nothing(_path: str, body: bytes | None) -> bytes:
        return json.dumps({"results": [{} for _ in json.loads(body or b"")["queries"]]}).encode()

    with pytest.raises(Unanswered, match=r"openssl 1\.0\.1e-1 in Debian:13"):
        find_advisories([OPENSSL], answer_nothing)


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
def test_a_malformed_reply_is_not_an_empty_one(reply: bytes) -> None:
    with pytest.raises(Unanswered):
        find_advisories([OPENSSL], Service({}, batch=reply))


@pytest.mark.parametrize(
    "reply", [b'{"id": "B"}', b'{"code": 5, "message": "Bug not found."}', b"[]", b'{"id": "A", "aff']
)
def test_a_missing_advisory_is_not_skipped(reply: bytes) -> None:
    with pytest.raises(Unanswered):
        find_advisories([OPENSSL], Service({"openssl": [["A"]]}, vulns=reply))


def test_endless_pages_are_given_up() -> None:
    endless = b'{"results": [{"vulns": [{"id": "A"}], "next_page_token": "1"}]}'

    with pytest.raises(Unanswered, match="does not end"):
        find_advisories([OPENSSL], Service({}, batch=endless))


def test_a_named_mirror_replaces_the_public_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHIP_OSV_API", raising=False)
    assert api_url() == PUBLIC
    for url in ("http://127.0.0.1:9", "https://osv.example.internal/osv/", "http://[::1]:8080"):
        monkeypatch.setenv("SHIP_OSV_API", url)
        assert api_url() == url.rstrip("/")


@pytest.mark.parametrize(
    "url", ["osv.example.org", "ftp://osv.example.org", "https://me:secret@osv.example.org", "https://a b", "https://"]
)
def test_a_malformed_mirror_is_an_error_of_its_own(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHIP_OSV_API", url)

    with pytest.raises(Failure, match="OSV_API: ") as wrong:
        api_url()
    assert not isinstance(wrong.value, Unanswered)
