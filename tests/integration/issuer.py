"""An OIDC issuer that answers workflow jobs like GitHub's.

Sources: https://docs.github.com/en/actions/reference/security/oidc for the claims and for how a job asks for a token,
https://openid.net/specs/openid-connect-discovery-1_0.html for what a verifier asks.
"""

import base64
import json
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.integration.program import run


@dataclass(frozen=True)
class Job:
    """A job as GitHub's token describes it: its workflow file and its run."""

    file: str = "publish.yml"
    """Workflow file of the job, in `pipeline`."""
    pipeline: str = "me/shipshape"
    at: str = "refs/heads/main"
    """Ref of `pipeline` at which the file was called."""
    repository: str = "me/shipshape"
    """Repository of the run."""
    ref: str = "refs/heads/main"
    """Ref of the run."""
    event: str = "push"

    @property
    def claims(self) -> dict[str, str]:
        commit, owner = "c" * 40, self.repository.partition("/")[0]
        called = f"{self.pipeline}/.github/workflows/{self.file}@{self.at}"
        return {
            "sub": f"repo:{self.repository}:{'pull_request' if self.event == 'pull_request' else f'ref:{self.ref}'}",
            "repository": self.repository, "repository_id": "74", "repository_visibility": "public",
            "repository_owner": owner, "repository_owner_id": "65",
            "ref": self.ref, "ref_type": "tag" if self.ref.startswith("refs/tags/") else "branch", "sha": commit,
            "event_name": self.event, "head_ref": "", "base_ref": "",
            "workflow": "Main", "workflow_sha": commit,
            "workflow_ref": f"{self.repository}/.github/workflows/main.yml@{self.ref}",
            "job_workflow_ref": called, "job_workflow_sha": commit,
            "run_id": "1", "run_number": "1", "run_attempt": "1", "runner_environment": "github-hosted",
            "actor": "ada", "actor_id": "12",
        }  # fmt: skip

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the runner sets for a step."""
        return {
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_REPOSITORY": self.repository,
            "GITHUB_REF": self.ref,
        }


@dataclass
class Issuer:
    key: Path
    url: str = ""
    jobs: dict[str, Job] = field(default_factory=dict)
    """Jobs by the token with which their runner asks."""

    def environment(self, job: Job) -> dict[str, str]:
        """Return the environment of a step of `job` that may ask for a token (`id-token: write`)."""
        secret = uuid.uuid4().hex
        self.jobs[secret] = job
        asked = {"ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.url}/token?api-version=2.0"}
        return {**job.environment, **asked, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": secret}

    def answer(self, path: str, authorization: str) -> dict[str, Any] | None:
        parts = urlsplit(path)
        if parts.path == "/.well-known/openid-configuration":
            algorithms = {"id_token_signing_alg_values_supported": ["RS256"]}
            return {"issuer": self.url, "jwks_uri": f"{self.url}/jwks", **algorithms}
        if parts.path == "/jwks":
            return {"keys": [self._public_key]}
        job = self.jobs.get(authorization.removeprefix("bearer "))
        if parts.path == "/token" and job:
            return {"value": self._token({**job.claims, "aud": parse_qs(parts.query)["audience"][0]})}
        return None

    @property
    def _public_key(self) -> dict[str, str]:
        modulus = run("openssl", "rsa", "-in", str(self.key), "-noout", "-modulus").partition("=")[2]
        exponent = (65537).to_bytes(3, "big")
        return {
            "kty": "RSA",
            "alg": "RS256",
            "use": "sig",
            "kid": "1",
            "n": _url(bytes.fromhex(modulus)),
            "e": _url(exponent),
        }

    def _token(self, claims: dict[str, str]) -> str:
        """Return `claims` as a JSON Web Token (RFC 7519), valid for five minutes like GitHub's."""
        now = int(time.time())
        times = {"iat": now, "nbf": now - 5, "exp": now + 300}
        payload = {"iss": self.url, "jti": uuid.uuid4().hex, **times, **claims}
        parts = [_url(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT", "kid": "1"}, payload)]
        signing = ("openssl", "dgst", "-sha256", "-sign", str(self.key))
        signature = subprocess.run(signing, input=".".join(parts).encode(), check=True, capture_output=True).stdout
        return ".".join([*parts, _url(signature)])


@contextmanager
def started_issuer(folder: Path) -> Iterator[Issuer]:
    """Run an issuer with a key of its own, kept in `folder`."""
    folder.mkdir(parents=True)
    issuer = Issuer(folder / "key.pem")
    run("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(issuer.key))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = issuer.answer(self.path, self.headers.get("Authorization", ""))
            body = json.dumps(answer).encode()
            self.send_response(200 if answer else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        issuer.url = f"http://localhost:{server.server_port}"
        yield issuer
        server.shutdown()


def _url(data: bytes) -> str:
    """Return `data` as base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
