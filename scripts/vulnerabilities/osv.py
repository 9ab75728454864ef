"""Asking OSV which versions of a package are known to be vulnerable.

Source: https://google.github.io/osv.dev/api/ and https://ossf.github.io/osv-schema/

OSV rather than a scanner program: it is the one free source that has Debian's and Python's advisories alike and matches
versions itself, so that this needs neither a second program with a database of its own nor an order of versions.
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
BATCH = 1000  # the most queries that OSV takes at once
PAGES = 100
CONNECT_SECONDS, READ_SECONDS = 5, 60  # OSV gives itself 35 s for a batch
CPYTHON = "https://github.com/python/cpython"

# Sends a body to a path (POST, or GET without one) and returns the bytes of the reply.
Ask = Callable[[str, bytes | None], bytes]
Reply = TypeVar("Reply", bound=msgspec.Struct)
# As in CVE-2014-0160, PYSEC-2021-66 or DSA-2896-1: https://ossf.github.io/osv-schema/#id-modified-fields
Id = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._:-]{0,127}\Z")]


class Unanswered(Failure):
    """OSV could not be reached, or did not answer as it promises to: nothing is known of any package."""


class Query(msgspec.Struct, frozen=True, order=True):
    """One version of one package, as its advisories name it: a source package of Debian, a repository of GIT."""

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
    """One package, or repository, that an advisory is about."""

    package: Package | None = None
    ranges: tuple[Range, ...] = ()
    severity: tuple[Severity, ...] = ()
    ecosystem_specific: dict[str, object] = {}


class Advisory(msgspec.Struct, frozen=True):
    """What is known of one vulnerability."""

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


def address() -> Url:
    """Return where OSV is asked: SHIP_OSV_API for a mirror in a closed network, else the public service."""
    return Url.of((os.environ.get("SHIP_OSV_API") or PUBLIC).rstrip("/"), "SHIP_OSV_API")


def service(url: str) -> Ask:
    """Return how to ask the service at `url`: with time-outs, and three retries where it is busy."""
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
            raise Unanswered(_words(error)) from error
        return reply.content

    return ask


def advisories(queries: Iterable[Query], ask: Ask) -> dict[Query, list[Advisory]]:
    """Return what is known of each of `queries`, withdrawn advisories included; sorted.

    Raises Unanswered when any of it could not be learnt.
    """
    wanted = sorted(set(queries))
    _check_knowledge(sorted({query.ecosystem for query in wanted}), ask)
    ids = _identifiers(wanted, ask)
    known = {name: _advisory(name, ask) for name in sorted({name for found in ids.values() for name in found})}
    return {query: [known[name] for name in sorted(ids[query])] for query in wanted}


def _check_knowledge(ecosystems: Sequence[str], ask: Ask) -> None:
    """Ask of each ecosystem for one version that is known to be vulnerable.

    OSV answers nothing, not an error, where it knows nothing: of a mirror without Debian's advisories, or a release of
    Debian that it does not have, no package would ever be vulnerable.
    """
    controls = [_control(ecosystem) for ecosystem in ecosystems]
    for query, result in zip(controls, _batch([(query, "") for query in controls], ask), strict=True):
        if not result.vulns:
            known = f"{query.name} {query.version} in {query.ecosystem}"
            raise Unanswered(f"it knows nothing of {known}, which is vulnerable: it has no such advisories")


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
    """Return one page for each of `queries`, which come with the token of the page that is wanted."""
    body = [
        {
            # Not by package URL: OSV ignores its `distro`, and answers for every release of Debian at once
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


def _words(error: requests.RequestException) -> str:
    """Return why a request failed, without how often it was tried."""
    cause = error.args[0] if error.args else error
    return str(getattr(cause, "reason", None) or cause)


def _decoded(text: bytes, form: type[Reply]) -> Reply:
    try:
        return msgspec.json.decode(text, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unanswered(f"its reply is not what OSV documents: {error}") from error
