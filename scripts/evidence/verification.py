"""Whether an image is what it claims to be: its evidence, in every registry."""

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

# Says what a predicate, JSON, shows. Raises Failure when it is false.
Fact = Callable[[bytes], str]


@dataclass(frozen=True)
class Verified:
    """An image whose evidence is complete and true in every registry that was asked."""

    release: Release
    repositories: tuple[Repository, ...]
    sbom: Mapping[str, Any]
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


@dataclass(frozen=True)
class Examination:
    """What was found of an image in every registry, whatever that is worth."""

    reference: str
    """As it was asked for."""
    tag: Tag | None
    """The tag in that, if any."""
    claim: Claim
    who: signer.Signer
    """Whose signature counts."""
    said: tuple[Referrers, ...]
    """What is attached in each repository."""
    findings: tuple[Finding, ...]

    @property
    def repositories(self) -> tuple[Repository, ...]:
        return tuple(one.repository for one in self.said)

    def verified(self) -> Verified:
        """Return the image. Raises Failure, with every reason, when any of its evidence is missing or false."""
        if faults := [one for one in self.findings if one.fault]:
            reasons = "; ".join(f"{one.repository}: {one.fault}" for one in faults)
            remedies = [one.remedy for one in faults if one.remedy]
            raise Failure(f"{self.reference} is not to be trusted: {reasons}", next(iter(remedies), ""))
        sbom = json.loads(cosign.statements(self.said[0], self.who, statements.SBOM)[0])
        return Verified(self.claim.release, self.repositories, sbom)


def verified(reference: str) -> Verified:
    """Return the image `reference`, which is what `locate` takes.

    Raises Failure with every reason when it is missing or not the same image everywhere, is not signed by who should
    have, or lacks true provenance, test result or bill of materials.
    """
    return examine(reference).verified()


def examine(reference: str) -> Examination:
    """Return what is found of `reference`, which is what `locate` takes.

    Raises Failure when it is missing or not the same image everywhere, or when its tag says that it is another one.
    """
    located = locate(reference, shipment.repositories())
    require_cosign()
    who = signer.verifying(located.repositories)
    claim = _claim(located)
    if located.tag:
        tags.check(located.tag, claim.release)
    with ThreadPoolExecutor() as pool:
        said = tuple(pool.map(lambda one: referrers.read(one, located.digest), located.repositories))
        checks = [partial(finding, one, kind) for one in said for kind in kinds(who, claim)]
        findings = tuple(pool.map(lambda check: check(), checks))
    return Examination(reference, located.tag, claim, who, said, findings)


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
        Kind("bill of materials", who, statements.SBOM, lambda said: statements.sbom_fact(said, claim)),
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
    release = Release.labelled(located.digest, registry.labels(located.reference), located.reference)
    return Claim(release, frozenset(registry.platforms(located.reference)))
