"""`./ship scan`: the bill of materials of the built image, and known vulnerabilities of what stands in it.

Exactly the packages in the bill are asked for. What could not be asked is "not checked", never "clean".
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from packageurl import PackageURL
from rich.text import Text

from scripts import ROOT, artifacts
from scripts.artifacts import IMAGE, SBOM, Scanned, built
from scripts.console import Rows, console, say
from scripts.errors import Failure
from scripts.grammar import Digest
from scripts.oci.layout import Layout
from scripts.sbom import bom
from scripts.vulnerabilities import exceptions, osv
from scripts.vulnerabilities.exceptions import Judged
from scripts.vulnerabilities.osv import Query
from scripts.vulnerabilities.policy import Finding, assess


def scan(*, allow_unchecked: bool = False) -> str:
    """Write `build/sbom.cdx.json`, ask for known vulnerabilities, and write `build/scan.json`; return the outcome.

    Raises Failure when one of them stops the release. Where OSV does not answer, the outcome is "not checked"; in CI
    that is a Failure too, unless `allow_unchecked`, or SHIP_SCAN_UNCHECKED=allow, says otherwise.
    """
    artifacts.forget_scan()
    digest, layout = Digest(built().digest), Layout(IMAGE)
    layout.check()
    components = queries(json.loads(_sbom(layout)))
    count = len({purl for purls in components.values() for purl in purls})
    say(f"  {SBOM.relative_to(ROOT)}: {count} packages, the model and its data")
    entries, source = exceptions.read(), osv.api_url()
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        known = osv.find_advisories(components, osv.connect(source))
    except osv.Unanswered as unanswered:
        _say_not_checked(count, source, unanswered)
        allowed = allow_unchecked or os.environ.get("SHIP_SCAN_UNCHECKED") == "allow"
        if os.environ.get("CI") and not allowed:
            raise Failure(
                f"{count} packages were not checked for known vulnerabilities",
                "run it again; SHIP_OSV_API=… names a mirror; ./ship scan --allow-unchecked goes on without",
            ) from unanswered
        artifacts.keep(Scanned(digest, "not checked", source, at, 0, [], []))
        return f"NOT CHECKED: {count} packages, because {source} gave no answer"
    judged = exceptions.judge(assess(known, components), entries)
    _show(judged)
    if judged.stopping:
        raise Failure(
            f"{_named(judged.stopping)}: see above",
            "take versions with the fix, or grant an exception in scripts/vulnerabilities/exceptions.toml",
        )
    granted = [{**asdict(finding), "exception": _granted(entry)} for finding, entry in judged.allowed]
    artifacts.keep(Scanned(digest, "clean", source, at, count, [asdict(one) for one in judged.reported], granted))
    return f"clean: {count} packages checked, {len(judged.reported)} reported, {len(granted)} allowed"


def _sbom(layout: Layout) -> bytes:
    """Write the bill of materials of `layout` and return it."""
    SBOM.parent.mkdir(exist_ok=True)
    SBOM.write_bytes(document := bom.describe(layout))
    return document


def queries(document: Mapping[str, Any]) -> dict[Query, list[str]]:
    """Return what to ask for a bill of materials, each with the package URLs of the components it stands for.

    Raises Failure when a package is of a kind that no advisories are known for here.
    """
    asked: dict[Query, list[str]] = {}
    for component in document["components"]:
        if purl := component.get("purl"):
            properties = {one["name"] for one in component.get("properties", [])}
            # Debian mends Python without raising its version: its own packages of it are asked for instead.
            if "shipshape:installed-by" not in properties:
                asked.setdefault(_query(PackageURL.from_string(purl)), []).append(purl)
    return asked


def _query(purl: PackageURL) -> Query:
    version, qualifiers = str(purl.version), dict(purl.qualifiers or {})
    if purl.type == "pypi":
        return Query("PyPI", purl.name, version)
    if (purl.type, purl.name) == ("generic", "cpython"):
        return Query("GIT", osv.CPYTHON, f"v{version}")
    if (purl.type, purl.namespace) == ("deb", "debian"):
        source, _, source_version = str(qualifiers.get("upstream", f"{purl.name}@{version}")).partition("@")
        return Query(f"Debian:{qualifiers['distro'].removeprefix('debian-')}", source, source_version)
    raise Failure(f"no advisories are known for {purl.to_string()}", "build on a Debian base")


def _granted(entry: exceptions.Entry) -> dict[str, str]:
    return {"reason": entry.reason, "reviewed_by": entry.reviewed_by, "expires": entry.expires.isoformat()}


def _named(stopping: list[Finding]) -> str:
    packages = sorted({f"{one.package} {one.version}" for one in stopping})
    return f"{len(stopping)} known vulnerabilities in {', '.join(packages)}"


def _show(judged: Judged) -> None:
    table = Rows("advisory", "package", "CVSS", "")
    rows = [(one, Text(f"STOPS: {one.why}", "bold red")) for one in judged.stopping]
    rows += [(one, Text(f"allowed until {entry.expires}: {entry.reason}")) for one, entry in judged.allowed]
    rows += [(one, Text(one.why)) for one in judged.reported]
    for one, verdict in rows:
        names = " ".join([one.id, *one.aliases])
        table.row(names, f"{one.package} {one.version}", str(one.severity or ""), verdict)
    if rows:
        console.print(table)
    for entry in judged.expired:
        say(f"  the exception for {entry.id} in {entry.package} expired on {entry.expires}: it counts again")
    for entry in judged.unused:
        say(f"  the exception for {entry.id} in {entry.package} covers nothing: take it out")


def _say_not_checked(count: int, source: str, why: osv.Unanswered) -> None:
    console.print(Text(f"  NOT CHECKED: nobody looked for known vulnerabilities of {count} packages", "bold yellow"))
    say(f"  {source} gave no usable answer: {why.reason}")
    say("  to check them: ./ship scan where that can be reached; SHIP_OSV_API=… ./ship scan with a mirror of it;")
    say("  or build/sbom.cdx.json, with any scanner that reads CycloneDX")
