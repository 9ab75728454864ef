"""The policy: whether an advisory stops a release, and why.

For Debian it follows the security team, https://security-team.debian.org/security_tracker.html#severity-levels
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cvss import CVSS2, CVSS3, CVSS4, CVSSError
from packaging.utils import canonicalize_name

from scripts.vulnerabilities.osv import Advisory, Affected, Query, Severity

VECTORS = {"CVSS_V2": CVSS2, "CVSS_V3": CVSS3, "CVSS_V4": CVSS4}
HIGH = 7.0  # where "high" begins in CVSS 3 and 4


@dataclass(frozen=True)
class Finding:
    """One vulnerability of one package."""

    id: str
    aliases: list[str]
    """Other identifiers of the same vulnerability."""
    package: str
    """The name in its advisories: for Debian, the source package."""
    version: str
    components: list[str]
    """Package URLs, as in the bill of materials."""
    summary: str
    severity: float | None
    """CVSS base score, 0 to 10; None when there is none."""
    fixed: list[str]
    """Versions that have the fix."""
    stops: bool
    why: str


def assess(known: Mapping[Query, Sequence[Advisory]], components: Mapping[Query, list[str]]) -> list[Finding]:
    """Return the findings of `known` advisories for the `components` behind each query, without withdrawn ones."""
    return [
        _finding(query, advisory, components[query])
        for query, advisories in sorted(known.items())
        for advisory in advisories
        if not advisory.withdrawn
    ]


def _finding(query: Query, advisory: Advisory, components: list[str]) -> Finding:
    affected = [one for one in advisory.affected if _is_about(one, query)]
    fixed = list(dict.fromkeys(event.fixed for one in affected for part in one.ranges for event in part.events))
    fixed = [version for version in fixed if version]
    severity = _score([*advisory.severity, *(score for one in affected for score in one.severity)])
    stops, why = _verdict(query, affected, fixed, severity)
    # An announcement may cover several upstream vulnerabilities; a single one is an alias.
    upstream = advisory.upstream if len(advisory.upstream) == 1 else ()
    return Finding(
        id=advisory.id,
        aliases=sorted({*advisory.aliases, *upstream}),
        package=query.name,
        version=query.version,
        components=components,
        summary=advisory.summary or advisory.details.strip().partition("\n")[0][:200],
        severity=severity,
        fixed=fixed,
        stops=stops,
        why=why,
    )


def _verdict(
    query: Query, affected: Sequence[Affected], fixed: Sequence[str], severity: float | None
) -> tuple[bool, str]:
    """Return whether a finding stops a release, and why or why not."""
    available = f"fixed in {', '.join(fixed)}"
    if not query.ecosystem.startswith("Debian"):
        return True, available if fixed else "no fix known"
    # Debian marks a word that it took from elsewhere with two stars.
    urgency = {str(one.ecosystem_specific.get("urgency", "")).rstrip("*") for one in affected}
    if urgency == {"unimportant"}:
        return False, "Debian calls it unimportant: no danger as packaged"
    if fixed:
        return True, available
    if "end-of-life" in urgency:
        return True, "Debian no longer supports the package"
    if "high" in urgency or (severity or 0) >= HIGH:
        return True, "high severity, and Debian has no fix yet"
    return False, "Debian has no fix yet"


def _is_about(affected: Affected, query: Query) -> bool:
    if query.ecosystem == "GIT":
        return any(part.repo.removesuffix(".git") == query.name for part in affected.ranges)
    package = affected.package
    if package is None or package.ecosystem != query.ecosystem:
        return False
    return package.name == query.name or canonicalize_name(package.name) == canonicalize_name(query.name)


def _score(severities: Sequence[Severity]) -> float | None:
    """Return the highest base score among the readable vectors."""
    scores = []
    for one in severities:
        if one.type in VECTORS:
            try:
                scores.append(float(VECTORS[one.type](one.score).scores()[0]))
            except CVSSError:
                continue
    return max(scores, default=None)
