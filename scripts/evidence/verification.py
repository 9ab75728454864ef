"""Verifies that an image is what it claims to be, by its evidence in every registry."""

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from scripts import shipment
from scripts.errors import Failure
from scripts.evidence import cosign, referrers, signer, statements
from scripts.evidence.referrers import Referrers
from scripts.evidence.statements import Claim
from scripts.grammar import Repository, Tag
from scripts.host.cosign import require_cosign
from scripts.oci import registry, tags
from scripts.oci.labels import Release
from scripts.oci.location import Located, locate

# Returns what a predicate (JSON) proves. Raises Failure when it is false.
Check = Callable[[bytes], str]


@dataclass(frozen=True)
class Verified:
    """An image whose evidence is complete and true in each of `repositories`."""

    release: Release
    repositories: tuple[Repository, ...]
    sbom: Mapping[str, Any]
    """The bill of materials, CycloneDX."""


@dataclass(frozen=True)
class Finding:
    """One piece of evidence in one registry: the fact that it proves, or its fault and a remedy."""

    subject: str
    repository: str
    fact: str = ""
    fault: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Kind:
    """One kind of evidence: who must have signed it, and how to check it."""

    subject: str
    who: signer.Signer
    type: str
    check: Check


@dataclass(frozen=True)
class Examination:
    """The evidence found for an image in every registry, right or wrong."""

    reference: str
    """As the person typed it."""
    tag: Tag | None
    """The tag in it, if any."""
    claim: Claim
    who: signer.Signer
    """The trusted signer."""
    attached: tuple[Referrers, ...]
    """What is attached in each repository."""
    findings: tuple[Finding, ...]

    @property
    def repositories(self) -> tuple[Repository, ...]:
        return tuple(one.repository for one in self.attached)

    def verified(self) -> Verified:
        """Return the verified image. Raises Failure, with every fault, when evidence is missing or false."""
        if faults := [one for one in self.findings if one.fault]:
            reasons = "; ".join(f"{one.repository}: {one.fault}" for one in faults)
            remedies = [one.remedy for one in faults if one.remedy]
            raise Failure(f"{self.reference} cannot be trusted: {reasons}", next(iter(remedies), ""))
        sbom = json.loads(cosign.statements(self.attached[0], self.who, statements.SBOM)[0])
        return Verified(self.claim.release, self.repositories, sbom)


def verified(reference: str) -> Verified:
    """Return the verified image `reference`, which `locate` resolves.

    Raises Failure, with every fault, when registries lack it or disagree, or when its signature, provenance, test
    result or bill of materials is missing or false.
    """
    return examine(reference).verified()


def examine(reference: str) -> Examination:
    """Return the evidence for `reference`, which `locate` resolves.

    Raises Failure when registries lack it or disagree, or when its tag promises another image.
    """
    located = locate(reference, shipment.repositories())
    require_cosign()
    who = signer.require_verifier(located.repositories)
    claim = _claim(located)
    if located.tag:
        tags.check(located.tag, claim.release)
    with ThreadPoolExecutor() as pool:
        attached = tuple(pool.map(lambda one: referrers.read(one, located.digest), located.repositories))
        checks = [partial(examine_kind, one, kind) for one in attached for kind in required_evidence(who, claim)]
        findings = tuple(pool.map(lambda check: check(), checks))
    return Examination(reference, located.tag, claim, who, attached, findings)


def required_evidence(who: signer.Signer, claim: Claim) -> list[Kind]:
    """Return the kinds of evidence that `claim` needs when `who` is trusted."""
    builder = signer.provenance_signer(who)
    workflow = builder.identity if isinstance(builder, signer.Workflow) else ""
    digest = claim.release.digest
    return [
        Kind("signature", who, cosign.SIGNATURE, lambda _: "valid"),
        Kind(
            "provenance",
            builder,
            statements.PROVENANCE,
            lambda predicate: statements.check_provenance(predicate, claim, workflow=workflow),
        ),
        Kind("test result", who, statements.TESTS, lambda predicate: statements.check_test_result(predicate, claim)),
        Kind(
            "bill of materials",
            who,
            statements.SBOM,
            lambda predicate: statements.check_sbom(predicate, digest),
        ),
    ]


def examine_kind(attached: Referrers, kind: Kind) -> Finding:
    """Return what the `attached` evidence of one kind proves.

    Every statement of that kind must be true: a trusted signer who contradicts itself proves nothing.
    """
    found = cosign.statements(attached, kind.who, kind.type)
    try:
        facts = [kind.check(one) for one in found]
    except Failure as fault:
        return Finding(kind.subject, attached.repository, fault=fault.reason, remedy=fault.remedy)
    if facts:
        return Finding(kind.subject, attached.repository, fact=facts[0])
    unread = f" ({attached.unread} of its referrers could not be read)" if attached.unread else ""
    refusal = cosign.explain_refusal(attached, kind.who, kind.type)
    why = f": {refusal}" if refusal else ""
    return Finding(kind.subject, attached.repository, fault=f"no {kind.subject} by {kind.who}{unread}{why}")


def _claim(located: Located) -> Claim:
    release = Release.labelled(located.digest, registry.labels(located.reference), located.reference)
    return Claim(release, frozenset(registry.platforms(located.reference)))
