"""`./ship verify REF`: the evidence that an image is what it claims to be, in every registry."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from rich.table import Table
from rich.text import Text

from scripts import cosign, evidence, registry
from scripts.evidence import Claim, Predicate
from scripts.failure import Failure
from scripts.grammar import Digest, Repository, Tag, Version
from scripts.reference import Located, locate
from scripts.terminal import console

Fact = Callable[[Predicate], str]


@dataclass(frozen=True)
class Verified:
    """An image whose evidence is complete and true in every registry that was asked."""

    digest: Digest
    version: str
    revision: str
    repositories: tuple[Repository, ...]
    bill: Predicate
    """The bill of materials, CycloneDX."""


@dataclass(frozen=True)
class Finding:
    """One piece of evidence in one registry: the fact that it shows, or what is wrong with it."""

    subject: str
    repository: str
    fact: str = ""
    fault: str = ""


def verify(reference: str) -> str:
    """Verify `reference`, see `verified`, and say what it is."""
    found = verified(reference)
    return f"{reference} is {found.digest}, version {found.version} of commit {found.revision[:12]}"


def verified(reference: str) -> Verified:
    """Show the evidence for `reference` and return what it is.

    `reference` is what `scripts.reference.locate` takes. Raises Failure with every reason when it is missing or not the
    same image everywhere, is not signed by who should have, or lacks true provenance, test result or bill of materials.
    """
    located = locate(reference)
    who = cosign.trusted(located.repositories)
    claim = _claim(located)
    _check_tag(located.tag, claim)
    with ThreadPoolExecutor(max_workers=4) as pool:
        findings = list(pool.map(lambda check: check(), _checks(located.repositories, who, claim)))
    _show(findings, claim, who)
    faults = [f"{finding.repository}: {finding.fault}" for finding in findings if finding.fault]
    if faults:
        raise Failure(f"{reference} is not to be trusted: {'; '.join(faults)}")
    [bill, *_] = cosign.statements(located.reference, who, evidence.BILL)
    return Verified(located.digest, claim.version, claim.revision, located.repositories, bill)


def _claim(located: Located) -> Claim:
    labels = registry.labels(located.reference)
    prefix = "org.opencontainers.image"
    version, revision = labels.get(f"{prefix}.version", ""), labels.get(f"{prefix}.revision", "")
    return Claim(located.digest, version, revision, frozenset(registry.platforms(located.reference)))


def _check_tag(tag: Tag | None, claim: Claim) -> None:
    """Raise Failure when a tag that is a version or a commit points to an image of another one."""
    if tag and Version.matches(tag) and tag != claim.version:
        raise Failure(f"{tag} points to an image that says it is version {claim.version}")
    if tag and tag.startswith("sha-") and tag != f"sha-{claim.revision}":
        raise Failure(f"{tag} points to an image that says it is of commit {claim.revision}")


def _checks(repositories: Iterable[str], who: cosign.Signer, claim: Claim) -> list[Callable[[], Finding]]:
    builder = cosign.builder(who)
    workflow = builder.identity if isinstance(builder, cosign.Workflow) else ""
    kinds: dict[str, tuple[cosign.Signer, str, Fact]] = {
        "provenance": (
            builder,
            evidence.PROVENANCE,
            lambda said: evidence.provenance_fact(said, claim, workflow=workflow),
        ),
        "test result": (who, evidence.TESTS, lambda said: evidence.test_fact(said, claim)),
        "bill of materials": (who, evidence.BILL, lambda said: evidence.bill_fact(said, claim)),
    }
    checks: list[Callable[[], Finding]] = []
    for repository in repositories:
        checks.append(partial(_signature, repository, who, claim))
        checks += [partial(_statement, repository, claim, name, *kind) for name, kind in kinds.items()]
    return checks


def _signature(repository: str, who: cosign.Signer, claim: Claim) -> Finding:
    if cosign.signed(f"{repository}@{claim.digest}", who):
        return Finding("signature", repository, fact="valid")
    return Finding("signature", repository, fault=f"no signature by {who}")


def _statement(repository: str, claim: Claim, name: str, who: cosign.Signer, kind: str, fact: Fact) -> Finding:
    """Every statement of that kind must be right: a trusted signer who also says otherwise is no evidence."""
    said = cosign.statements(f"{repository}@{claim.digest}", who, kind)
    try:
        facts = list(map(fact, said))
    except Failure as fault:
        return Finding(name, repository, fault=fault.reason)
    except (AttributeError, KeyError, TypeError):
        return Finding(name, repository, fault=f"the {name} does not follow its specification")
    return Finding(name, repository, fact=facts[0]) if facts else Finding(name, repository, fault=f"no {name} by {who}")


def _show(findings: list[Finding], claim: Claim, who: cosign.Signer) -> None:
    repositories = list(dict.fromkeys(finding.repository for finding in findings))
    table = Table("evidence", *repositories)
    table.add_row("digest", *[claim.digest[:26]] * len(repositories))
    for subject in dict.fromkeys(finding.subject for finding in findings):
        found = [finding for finding in findings if finding.subject == subject]
        table.add_row(subject, *(Text(one.fact or one.fault, "green" if one.fact else "bold red") for one in found))
    console.print(table)
    console.print(Text(f"  version {claim.version}, commit {claim.revision}, {', '.join(sorted(claim.platforms))}"))
    console.print(Text(f"  trusted: {who}"))
