"""Attaching the evidence to a pushed image: signature, provenance, test result and bill of materials, as referrers."""

import json
from collections.abc import Sequence

from scripts import cosign, evidence
from scripts.bill import BILL
from scripts.build import Built
from scripts.grammar import Repository
from scripts.integration import tested
from scripts.terminal import say


def attest(repositories: Sequence[Repository], image: Built) -> None:
    """Sign `image` and attach what is known of it, in each of `repositories`, where it is not there yet.

    On GitHub provenance is left to its own attestation, which no step of this repository can write.
    Raises Failure when the image did not pass its tests, or when this machine cannot sign.
    """
    who = cosign.signer(repositories)
    predicates = {
        evidence.BILL: json.loads(BILL.read_bytes()),
        evidence.TESTS: evidence.test_result(tested()),
    }
    if isinstance(who, cosign.KeyPair):
        predicates[evidence.PROVENANCE] = evidence.provenance(image)
    say(f"  signing as {who}")
    for repository in repositories:
        reference = f"{repository}@{image.digest}"
        for kind, predicate in predicates.items():
            if not cosign.statements(reference, who, kind):
                say(f"  {kind} → {repository}")
                cosign.attest(reference, who, kind, predicate)
        if not cosign.signed(reference, who):  # last: whoever looks for a signature finds the rest
            say(f"  signature → {repository}")
            cosign.sign(reference, who)
