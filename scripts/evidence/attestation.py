"""Attaches the evidence to a pushed image: signature, provenance, test result and bill of materials, as referrers."""

import json
from collections.abc import Callable, Sequence
from functools import partial

from scripts.artifacts import SBOM, Built, tested
from scripts.console import say
from scripts.errors import Failure
from scripts.evidence import cosign, referrers, statements
from scripts.evidence.signer import KeyPair, Signer
from scripts.grammar import Digest, Repository


def attest(repositories: Sequence[Repository], image: Built, who: Signer) -> None:
    """Sign `image` as `who` and attach its evidence in each of `repositories`, unless it is there already.

    On GitHub a separate job attests provenance, which no step of this repository can write.
    Raises Failure when the image has not passed its tests.
    """
    predicates = {
        statements.SBOM: _sbom(image),
        statements.TESTS: json.dumps(statements.make_test_result(tested(), image)).encode(),
    }
    if isinstance(who, KeyPair):
        predicates[statements.PROVENANCE] = json.dumps(statements.make_provenance(image)).encode()
    say(f"  signing as {who}")
    digest = image.digest
    for repository in repositories:
        attached = referrers.read(repository, digest)
        for kind, predicate in predicates.items():
            if not cosign.statements(attached, who, kind):
                say(f"  {kind} → {repository}")
                _attach(repository, digest, partial(cosign.attest, repository, digest, who, kind, predicate))
        if not cosign.is_signed(attached, who):  # last: a signed image has all its evidence
            say(f"  signature → {repository}")
            _attach(repository, digest, partial(cosign.sign, repository, digest, who))


def _sbom(image: Built) -> bytes:
    """Return what `./ship scan` wrote. Raises Failure when that is missing or describes another image."""
    try:
        written = SBOM.read_bytes()
    except OSError as missing:
        raise Failure(f"{SBOM} cannot be read: {missing.strerror}", "./ship scan") from missing
    try:
        statements.check_sbom(written, image.digest)
    except Failure as wrong:
        raise Failure(f"{SBOM}: {wrong.reason}", "./ship scan") from wrong
    return written


def _attach(repository: Repository, digest: Digest, work: Callable[[], None]) -> None:
    """Do `work`; if it fails because a referrer was deleted, remove that from the list and retry."""
    try:
        work()
    except Failure:
        if not referrers.prune(repository, digest):
            raise
        work()
