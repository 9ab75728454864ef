"""Attaching the evidence to a pushed image: signature, provenance, test result and bill of materials, as referrers."""

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
    """Sign `image` as `who` and attach what is known of it, in each of `repositories`, where it is not there yet.

    On GitHub provenance is left to its own attestation, which no step of this repository can write.
    Raises Failure when the image did not pass its tests.
    """
    predicates = {
        statements.SBOM: _sbom(image),
        statements.TESTS: json.dumps(statements.test_result(tested(), image)).encode(),
    }
    if isinstance(who, KeyPair):
        predicates[statements.PROVENANCE] = json.dumps(statements.provenance(image)).encode()
    say(f"  signing as {who}")
    digest = image.digest
    for repository in repositories:
        said = referrers.read(repository, digest)
        for kind, predicate in predicates.items():
            if not cosign.statements(said, who, kind):
                say(f"  {kind} → {repository}")
                _attach(repository, digest, partial(cosign.attest, repository, digest, who, kind, predicate))
        if not cosign.signed(said, who):  # last: whoever looks for a signature finds the rest
            say(f"  signature → {repository}")
            _attach(repository, digest, partial(cosign.sign, repository, digest, who))


def _sbom(image: Built) -> bytes:
    """Return what `./ship scan` wrote. Raises Failure when that is missing, or is not the bill of `image`."""
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
    """Do `work`; where that fails because of what was deleted beside the image, mend that and do it again."""
    try:
        work()
    except Failure:
        if not referrers.mend(repository, digest):
            raise
        work()
