"""The real cosign, used without `./ship`."""

import base64
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SIGNATURE = "https://sigstore.dev/cosign/sign/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
TESTS = "https://in-toto.io/attestation/test-result/v0.1"
BILL = "https://cyclonedx.org/bom"
ALONE = {"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json", "rekorTlogConfig": {}, "tsaConfig": {}}


@dataclass(frozen=True)
class Key:
    """A private key without a password, its public half beside it."""

    private: Path

    @property
    def public(self) -> Path:
        return self.private.with_suffix(".pub")

    def sign(self, reference: str) -> None:
        cosign("sign", "--yes", "--key", str(self.private), *self._alone, reference)

    def attest(self, reference: str, kind: str, predicate: dict[str, Any]) -> None:
        path = self.private.with_name("predicate.json")
        path.write_text(json.dumps(predicate))
        what = ("--type", kind, "--predicate", str(path))
        cosign("attest", "--yes", "--key", str(self.private), *self._alone, *what, reference)

    def statements(self, reference: str, kind: str) -> list[dict[str, Any]]:
        """Return the in-toto statements of one kind that this key signed about `reference`."""
        trust = ("--key", str(self.public), "--insecure-ignore-tlog=true")
        lines = cosign("verify-attestation", *trust, "--type", kind, reference).splitlines()
        return [json.loads(base64.b64decode(json.loads(line)["payload"])) for line in lines]

    @property
    def _alone(self) -> tuple[str, str]:
        path = self.private.with_name("signing-config.json")
        path.write_text(json.dumps(ALONE))
        return "--signing-config", str(path)


def new_key(folder: Path) -> Key:
    folder.mkdir(exist_ok=True)
    cosign("generate-key-pair", cwd=folder)
    return Key(folder / "cosign.key")


def cosign(*arguments: str, cwd: Path | None = None) -> str:
    """Run cosign, which must succeed, and return what it printed."""
    environment = {**os.environ, "COSIGN_PASSWORD": ""}
    done = subprocess.run(("cosign", *arguments), cwd=cwd, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
