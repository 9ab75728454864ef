"""`./ship verify REF`: the evidence that an image is what it claims to be, in every registry."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from packaging.version import Version as Ordered
from rich.text import Text

from scripts.console import Rows, console, say
from scripts.errors import Failure
from scripts.evidence import cosign, referrers, signer, statements
from scripts.evidence.referrers import Referrers
from scripts.evidence.statements import Claim
from scripts.grammar import Digest, Repository, Revision, Tag, Version
from scripts.oci import registry
from scripts.oci.location import Located, locate

# Says what a predicate, JSON, shows. Raises Failure when it is false.
Fact = Callable[[bytes], str]
# What a person reads as a version, as the newest release or as a commit, however it is spelt.
LIKE_A_VERSION = re.compile(r"v?[0-9]+([.-]|$)|latest$|sha-", re.IGNORECASE)
# Tags that follow the newest release: of a line, such as 1.4 and 1, or of all.
ALIAS = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))?|latest")


@dataclass(frozen=True)
class Verified:
    """An image whose evidence is complete and true in every registry that was asked."""

    digest: Digest
    version: Version
    revision: Revision
    repositories: tuple[Repository, ...]
    bill: Mapping[str, Any]
    """The bill of materials, CycloneDX."""


@dataclass(frozen=True)
class Finding:
    """One piece of evidence in one registry: the fact that it shows, or what is wrong with it and what may help."""

    subject: str
    repository: str
    fact: str = ""
    fault: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Kind:
    """One kind of evidence: who must have signed it, and what it must show."""

    subject: str
    who: signer.Signer
    type: str
    fact: Fact


def verify(reference: str) -> str:
    """Verify `reference`, see `verified`, and say what it is."""
    found = verified(reference)
    return f"{reference} is {found.digest}, version {found.version} of commit {found.revision.short}"


def verified(reference: str) -> Verified:
    """Show the evidence for `reference` and return what it is.

    `reference` is what `locate` takes. Raises Failure with every reason when it is missing or not the
    same image everywhere, is not signed by who should have, or lacks true provenance, test result or bill of materials.
    """
    located = locate(reference)
    cosign.require()
    who = signer.verifying(located.repositories)
    claim = _claim(located)
    check_tag(located.tag, claim)
    with ThreadPoolExecutor() as pool:
        said = list(pool.map(lambda repository: referrers.read(repository, claim.digest), located.repositories))
        checks = [partial(finding, one, kind) for one in said for kind in kinds(who, claim)]
        findings = list(pool.map(lambda check: check(), checks))
    _show(findings, claim, who)
    faults = [one for one in findings if one.fault]
    if faults:
        reasons = "; ".join(f"{one.repository}: {one.fault}" for one in faults)
        remedies = [one.remedy for one in faults if one.remedy]
        raise Failure(f"{reference} is not to be trusted: {reasons}", next(iter(remedies), ""))
    if located.tag and ALIAS.fullmatch(located.tag):
        _say_what_is_newer(located.tag, located.repositories, claim)
    bill = json.loads(cosign.statements(said[0], who, statements.BILL)[0])
    return Verified(claim.digest, claim.version, claim.revision, located.repositories, bill)


def check_tag(tag: Tag | None, claim: Claim) -> None:
    """Raise Failure when a tag that says what it points to points to something else.

    A version and a commit are of that very image; `1.4`, `1` and `latest` of a release, the first two of their line.
    """
    if tag is None:
        return
    says = f"{tag} points to an image that says it is"
    if LIKE_A_VERSION.match(tag) and not (Version.matches(tag) or ALIAS.fullmatch(tag) or tag.startswith("sha-")):
        raise Failure(f"{tag} reads like a version or a commit, and ./ship gives no tag of that form")
    if Version.matches(tag) and Version(tag) != claim.version:
        raise Failure(f"{says} version {claim.version}")
    if tag.startswith("sha-") and tag != f"sha-{claim.revision}":
        raise Failure(f"{says} of commit {claim.revision}")
    if ALIAS.fullmatch(tag):
        if Ordered(claim.version).is_prerelease:
            raise Failure(f"{says} {claim.version}, which is no release")
        if tag != "latest" and not claim.version.startswith(f"{tag}."):
            raise Failure(f"{says} version {claim.version}")


def newer(tag: str, version: Version, tags: Iterable[str]) -> str:
    """Return the newest release among `tags` that the alias `tag` could point to, nothing when `version` is that."""
    line = "" if tag == "latest" else f"{tag}."
    releases = [Ordered(one) for one in tags if Version.matches(one) and one.startswith(line)]
    newest = max((one for one in releases if not one.is_prerelease), default=Ordered(version))
    return str(newest) if newest > Ordered(version) else ""


def kinds(who: signer.Signer, claim: Claim) -> list[Kind]:
    """Return the evidence that there must be for `claim` where `who` is trusted."""
    builder = signer.builder(who)
    workflow = builder.identity if isinstance(builder, signer.Workflow) else ""
    return [
        Kind("signature", who, cosign.SIGNATURE, lambda _: "valid"),
        Kind(
            "provenance",
            builder,
            statements.PROVENANCE,
            lambda said: statements.provenance_fact(said, claim, workflow=workflow),
        ),
        Kind("test result", who, statements.TESTS, lambda said: statements.test_fact(said, claim)),
        Kind("bill of materials", who, statements.BILL, lambda said: statements.bill_fact(said, claim)),
    ]


def finding(said: Referrers, kind: Kind) -> Finding:
    """Return what `said` shows of one kind.

    Every statement of that kind must be right: a trusted signer who also says otherwise is no evidence.
    """
    found = cosign.statements(said, kind.who, kind.type)
    try:
        facts = [kind.fact(one) for one in found]
    except Failure as fault:
        return Finding(kind.subject, said.repository, fault=fault.reason, remedy=fault.remedy)
    if facts:
        return Finding(kind.subject, said.repository, fact=facts[0])
    unread = f" ({said.unread} of its referrers could not be read)" if said.unread else ""
    refusal = cosign.refusal(said, kind.who, kind.type)
    why = f": {refusal}" if refusal else ""
    return Finding(kind.subject, said.repository, fault=f"no {kind.subject} by {kind.who}{unread}{why}")


def _claim(located: Located) -> Claim:
    labels = registry.labels(located.reference)
    version, revision = (labels.get(f"org.opencontainers.image.{name}", "") for name in ("version", "revision"))
    return Claim(
        located.digest,
        Version.of(version, f"the label version of {located.reference}"),
        Revision.of(revision, f"the label revision of {located.reference}"),
        frozenset(registry.platforms(located.reference)),
    )


def _say_what_is_newer(tag: Tag, repositories: Iterable[Repository], claim: Claim) -> None:
    """Say where the alias `tag` stayed behind: for a moment that is so in every release."""
    for repository in repositories:
        try:
            later = newer(tag, claim.version, registry.tags(repository))
        except Failure as unknown:
            say(f"  {repository}: whether a newer release is there is not known: {unknown.reason}")
        else:
            if later:
                say(f"  {repository}: {later} is there, and {tag} is still {claim.version}")


def _show(findings: list[Finding], claim: Claim, who: signer.Signer) -> None:
    repositories = list(dict.fromkeys(one.repository for one in findings))
    rows = Rows("evidence", *repositories)
    rows.row("digest", *[claim.digest] * len(repositories))
    for subject in dict.fromkeys(one.subject for one in findings):
        found = [one for one in findings if one.subject == subject]
        rows.row(subject, *(Text(one.fact or one.fault, "green" if one.fact else "bold red") for one in found))
    console.print(rows)
    say(f"  version {claim.version}, commit {claim.revision}, {', '.join(sorted(claim.platforms))}")
    say(f"  trusted: {who}")
