"""Asks OSV for the known vulnerabilities of a package version.

Source: https://google.github.io/osv.dev/api/ and https://ossf.github.io/osv-schema/

OSV rather than a scanner: it is the one free source that has the advisories of both Debian and Python and matches
versions itself, so that no other program, database or version ordering is needed.
"""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, TypeVar
from urllib.parse import quote

import msgspec
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from scripts.errors import Failure
from scripts.grammar import Url

PUBLIC = "https://api.osv.dev"
BATCH = 1000  # OSV's limit for one request
PAGES = 100
CONNECT_SECONDS, READ_SECONDS = 5, 60  # OSV allows itself 35 s for a batch
CPYTHON = "https://github.com/python/cpython"

# Sends a body to a path (POST, or GET without a body) and returns the bytes of the reply.
Ask = Callable[[str, bytes | None], bytes]
Reply = TypeVar("Reply", bound=msgspec.Struct)
# As in CVE-2014-0160, PYSEC-2021-66 or DSA-2896-1: https://ossf.github.io/osv-schema/#id-modified-fields
Id = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._:-]{0,127}\Z")]


class Unanswered(Failure):
    """OSV could not be reached or broke its protocol, so no package is known to be safe."""


class Query(msgspec.Struct, frozen=True, order=True):
    """One version of one package by the name in its advisories: Debian's source package, or a repository for GIT."""

    ecosystem: str
    name: str
    version: str


class Event(msgspec.Struct, frozen=True):
    fixed: str = ""


class Range(msgspec.Struct, frozen=True):
    events: tuple[Event, ...] = ()
    repo: str = ""


class Package(msgspec.Struct, frozen=True):
    ecosystem: str
    name: str


class Severity(msgspec.Struct, frozen=True):
    type: str
    score: str


class Affected(msgspec.Struct, frozen=True):
    """One package or repository in an advisory."""

    package: Package | None = None
    ranges: tuple[Range, ...] = ()
    severity: tuple[Severity, ...] = ()
    ecosystem_specific: dict[str, object] = {}


class Advisory(msgspec.Struct, frozen=True):
    """One vulnerability."""

    id: Id
    summary: str = ""
    details: str = ""
    withdrawn: str = ""
    aliases: tuple[str, ...] = ()
    upstream: tuple[str, ...] = ()
    severity: tuple[Severity, ...] = ()
    affected: tuple[Affected, ...] = ()


class _Named(msgspec.Struct):
    id: Id


class _Result(msgspec.Struct):
    vulns: list[_Named] = []
    next_page_token: str = ""


class _Batch(msgspec.Struct):
    results: list[_Result]


def api_url() -> Url:
    """Return the address of OSV: SHIP_OSV_API for a mirror in a closed network, else the public service."""
    return Url.of((os.environ.get("SHIP_OSV_API") or PUBLIC).rstrip("/"), "SHIP_OSV_API")


def connect(url: str) -> Ask:
    """Return a function that asks the service at `url`, with time-outs and three retries when it is busy."""
    session = requests.Session()
    retry = Retry(3, read=0, backoff_factor=0.3, status_forcelist=[429, 500, 502, 503, 504], allowed_methods=None,
                  retry_after_max=30)  # fmt: skip
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))

    def ask(path: str, body: bytes | None) -> bytes:
        method, headers = ("GET", {}) if body is None else ("POST", {"Content-Type": "application/json"})
        try:
            reply = session.request(
                method, url + path, data=body, headers=headers, timeout=(CONNECT_SECONDS, READ_SECONDS)
            )
            reply.raise_for_status()
        except requests.RequestException as error:
            raise Unanswered(_reason(error)) from error
        return reply.content

    return ask


def find_advisories(queries: Iterable[Query], ask: Ask) -> dict[Query, list[Advisory]]:
    """Return the advisories for each of `queries`, sorted and including withdrawn ones.

    Raises Unanswered when any of them is missing.
    """
    wanted = sorted(set(queries))
    _check_coverage(sorted({query.ecosystem for query in wanted}), ask)
    ids = _identifiers(wanted, ask)
    known = {name: _advisory(name, ask) for name in sorted({name for found in ids.values() for name in found})}
    return {query: [known[name] for name in sorted(ids[query])] for query in wanted}


def _check_coverage(ecosystems: Sequence[str], ask: Ask) -> None:
    """Query one version of each ecosystem that is known to be vulnerable. Raises Unanswered when OSV does not know it.

    Without data for an ecosystem OSV returns an empty result, not an error: a mirror without Debian's advisories, or
    without those of this release, would call every package safe.
    """
    controls = [_control(ecosystem) for ecosystem in ecosystems]
    for query, result in zip(controls, _batch([(query, "") for query in controls], ask), strict=True):
        if not result.vulns:
            known = f"{query.name} {query.version} in {query.ecosystem}"
            raise Unanswered(f"it does not know that {known} is vulnerable, so it lacks such advisories")


def _control(ecosystem: str) -> Query:
    if ecosystem == "PyPI":
        return Query(ecosystem, "jinja2", "2.4.1")  # the example of OSV's documentation
    if ecosystem == "GIT":
        return Query(ecosystem, CPYTHON, "v3.8.0")
    return Query(ecosystem, "openssl", "1.0.1e-1")  # Heartbleed


def _identifiers(queries: Sequence[Query], ask: Ask) -> dict[Query, set[str]]:
    found: dict[Query, set[str]] = {query: set() for query in queries}
    pages = dict.fromkeys(queries, 0)
    waiting = [(query, "") for query in queries]
    while waiting:
        now, waiting = waiting[:BATCH], waiting[BATCH:]
        for (query, _), result in zip(now, _batch(now, ask), strict=True):
            found[query] |= {one.id for one in result.vulns}
            pages[query] += 1
            if pages[query] > PAGES:
                raise Unanswered(f"its answer about {query.name} does not end after {PAGES} pages")
            if result.next_page_token:
                waiting.append((query, result.next_page_token))
    return found


def _batch(queries: Sequence[tuple[Query, str]], ask: Ask) -> list[_Result]:
    """Return one page of results for each of `queries`, which are pairs of a query and a page token."""
    body = [
        {
            # Not by package URL: OSV ignores its `distro` and answers for every release of Debian at once
            # (google/osv.dev issues 1321 and 4230).
            "package": {"ecosystem": query.ecosystem, "name": query.name},
            "version": query.version,
            **({"page_token": token} if token else {}),
        }
        for query, token in queries
    ]
    reply = _decoded(ask("/v1/querybatch", json.dumps({"queries": body}).encode()), _Batch)
    if len(reply.results) != len(queries):
        raise Unanswered(f"it answered {len(reply.results)} of {len(queries)} queries")
    return reply.results


def _advisory(name: str, ask: Ask) -> Advisory:
    found = _decoded(ask(f"/v1/vulns/{quote(name, safe='')}", None), Advisory)
    if found.id != name:
        raise Unanswered(f"asked for {name}, it answered with {found.id}")
    return found


def _reason(error: requests.RequestException) -> str:
    """Return why a request failed, without the number of tries."""
    cause = error.args[0] if error.args else error
    return str(getattr(cause, "reason", None) or cause)


def _decoded(text: bytes, form: type[Reply]) -> Reply:
    try:
        return msgspec.json.decode(text, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unanswered(f"its reply does not follow OSV's documentation: {error}") from error
