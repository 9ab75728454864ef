"""A private Sigstore on this machine: Fulcio, Rekor and a timestamp authority, built from their Go modules.

`tests/integration/sigstore/go.mod` pins what is built, with the hashes of all of it in go.sum; it is built once, into
`build/sigstore/`. The versions are the newest that Go 1.26 builds. Beside these stand a certificate log without a
tree, and a timestamp authority whose clock is wrong.
Source: https://docs.sigstore.dev/about/overview/ and the projects' own docker-compose files.
"""

import hashlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.integration.cosign import cosign
from tests.integration.issuer import Issuer, Job, started_issuer
from tests.integration.program import ROOT, run

MODULE = ROOT / "tests" / "integration" / "sigstore"
PROGRAMS = (
    "./certificate-log",
    "./wrong-clock",
    "github.com/sigstore/fulcio",
    "github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix",
    "github.com/sigstore/timestamp-authority/v2/cmd/timestamp-server",
)
START_SECONDS = 30
LONG_AGO = "2020-01-01T00:00:00Z"
# What clients take for the name of a log: the host that it answers at.
LOG_NAME = "localhost"


@dataclass(frozen=True)
class Sigstore:
    """Configurations to sign with and to trust, and the two issuers whose tokens it accepts."""

    folder: Path
    github: Issuer
    other_issuer: Issuer
    clock: str
    """Address of the timestamp authority."""

    def trusted_root(self, name: str = "right") -> Path:
        """Return the trusted root `right`, or `stranger` with another authority."""
        return self.folder / f"trusted-root-{name}.json"

    def signing_config(self, name: str = "right") -> Path:
        """Return the signing configuration `right`, or one with a wrong part: `stranger`, `no-log` or `late`."""
        return self.folder / f"signing-config-{name}.json"

    @property
    def settings(self) -> dict[str, str]:
        """The variables for `./ship`."""
        return {
            "SHIP_TRUSTED_ROOT": str(self.trusted_root()),
            "SHIP_SIGNING_CONFIG": str(self.signing_config()),
            "SHIP_OIDC_ISSUER": self.github.url,
        }

    def timestamp(self, signature: bytes) -> bytes:
        """Return a current timestamp for `signature` (RFC 3161, section 3.4)."""
        asked = self.folder / "query"
        asked.with_suffix(".data").write_bytes(signature)
        run("openssl", "ts", "-query", "-data", f"{asked}.data", "-sha256", "-cert", "-out", f"{asked}.tsq")
        headers = {"Content-Type": "application/timestamp-query"}
        query = asked.with_suffix(".tsq").read_bytes()
        reply = requests.post(f"{self.clock}/api/v1/timestamp", data=query, headers=headers, timeout=10)
        assert reply.ok, reply.text
        return reply.content

    def cosign(self, job: Job, *arguments: str, config: str = "right", issuer: Issuer | None = None) -> None:
        """Run cosign in a step of `job`, without checking the result."""
        # Without a trusted root, and with no place to get one from, cosign does not look at what it made.
        nowhere = {"TUF_MIRROR": "http://localhost:1", "TUF_ROOT": str(self.folder / "tuf")}
        environment = {**os.environ, **nowhere, **(issuer or self.github).environment(job)}
        verb, *rest = arguments
        command = ("cosign", verb, f"--signing-config={self.signing_config(config)}", "--yes", *rest)
        done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def programs() -> Path:
    """Return the folder with the programs, which are built if necessary; that needs Go."""
    sources = sorted(path for path in MODULE.rglob("*") if path.is_file())
    version = run("go", "env", "GOVERSION", "GOOS", "GOARCH", cwd=MODULE)
    total = hashlib.sha256(version.encode() + b"".join(path.read_bytes() for path in sources)).hexdigest()
    folder = ROOT / "build" / "sigstore" / total[:16]
    if not folder.exists():
        partial = folder.with_name(f"{folder.name}.{os.getpid()}")
        partial.mkdir(parents=True)
        command = ("go", "build", "-mod=readonly", "-trimpath", "-o", str(partial), *PROGRAMS)
        done = subprocess.run(command, cwd=MODULE, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        partial.rename(folder)
    return folder


@contextmanager
def started_sigstore(folder: Path) -> Iterator[Sigstore]:
    """Run all of it, with keys and data in `folder`."""
    built = programs()
    with ExitStack() as stack:
        github, other = (stack.enter_context(started_issuer(folder / name)) for name in ("github", "other-issuer"))
        servers = _Servers(stack, built, folder)
        _write_fulcio_config(folder / "fulcio.json", [github, other])
        certificate_log = servers.certificate_log()
        fulcio = servers.fulcio("fulcio", certificate_log)
        stranger = servers.fulcio("stranger", certificate_log)
        rekor = servers.rekor()
        clock = servers.timestamp_authority()
        late = servers.wrong_clock("1h")
        for name, authority in (("right", fulcio), ("stranger", stranger)):
            _write_trusted_root(folder, name, authority, certificate_log, rekor, clock)
        for name, parts in {
            "right": (fulcio, rekor, clock),
            "stranger": (stranger, rekor, clock),
            "no-log": (fulcio, "", clock),
            "late": (fulcio, rekor, late),
        }.items():
            _write_signing_config(folder / f"signing-config-{name}.json", *parts)
        yield Sigstore(folder, github, other, clock)


@dataclass(frozen=True)
class _Servers:
    """The programs in `built`, with keys, data and logs in `folder`; all are stopped at the end."""

    stack: ExitStack
    built: Path
    folder: Path

    def certificate_log(self) -> str:
        key, [port] = self.folder / "certificate-log.pem", _free_ports(1)
        _ecdsa_key(key)
        self._start("certificate-log", f"-address=127.0.0.1:{port}", f"-key={key}", port=port)
        return f"http://localhost:{port}"

    def fulcio(self, name: str, certificate_log: str) -> str:
        key, certificate = self.folder / f"{name}.key", self.folder / f"{name}.pem"
        _authority(key, certificate, f"/O=shipshape.test/CN={name}")
        run(
            "openssl",
            "pkcs8",
            "-topk8",
            "-in",
            str(key),
            "-out",
            f"{key}.enc",
            "-passout",
            "pass:test",
            "-v2",
            "aes256",
        )
        http, grpc, metrics = _free_ports(3)
        self._start(
            "fulcio", "serve", "--host=127.0.0.1", f"--port={http}", "--grpc-host=127.0.0.1", f"--grpc-port={grpc}",
            f"--metrics-port={metrics}", f"--config-path={self.folder / 'fulcio.json'}", "--ca=fileca",
            f"--fileca-cert={certificate}", f"--fileca-key={key}.enc", "--fileca-key-passwd=test",
            "--fileca-watch=false", f"--ct-log-url={certificate_log}",
            f"--legacy-unix-domain-socket={self.folder / f'{name}.socket'}",
            name=name, port=http, path="/healthz",
        )  # fmt: skip
        return f"http://localhost:{http}"

    def rekor(self) -> str:
        key, (http, grpc, metrics) = self.folder / "rekor.key", _free_ports(3)
        run("openssl", "genpkey", "-algorithm", "ed25519", "-out", str(key))
        _public(key)
        self._start(
            "posix", "serve", f"--http-port={http}", f"--grpc-port={grpc}", f"--http-metrics-port={metrics}",
            f"--hostname={LOG_NAME}", f"--storage-dir={self.folder / 'rekor'}", f"--signer-filepath={key}",
            "--checkpoint-interval=200ms", "--batch-max-age=50ms",
            name="rekor", port=http, path="/healthz",
        )  # fmt: skip
        return f"http://localhost:{http}"

    def timestamp_authority(self) -> str:
        # For Prometheus it listens at port 2112 as well, and at no other.
        key, chain, [port] = self.folder / "clock.key", self.folder / "clock.pem", _free_ports(1)
        _timestamping_chain(key, chain)
        self._start(
            "timestamp-server", "serve", "--host=127.0.0.1", f"--port={port}", "--scheme=http",
            "--timestamp-signer=file", f"--file-signer-key-path={key}", "--file-signer-passwd=",
            f"--certificate-chain-path={chain}", "--disable-ntp-monitoring",
            port=port, path="/ping",
        )  # fmt: skip
        return f"http://localhost:{port}"

    def wrong_clock(self, by: str) -> str:
        """Start an authority with the keys of the right one, whose clock is ahead by `by`."""
        [port] = _free_ports(1)
        files = (f"-key={self.folder / 'clock.key'}", f"-chain={self.folder / 'clock.pem'}")
        self._start("wrong-clock", f"-address=127.0.0.1:{port}", *files, f"-by={by}", name=f"clock{by}", port=port)
        return f"http://localhost:{port}"

    def _start(self, program: str, *arguments: str, port: int, path: str = "", name: str = "") -> None:
        """Start a program and wait until it listens on `port` or, with a `path`, answers there."""
        log = self.folder / f"{name or program}.log"
        # What else these programs read would be the settings of whoever runs this.
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        with log.open("wb") as output:
            child = subprocess.Popen(
                (self.built / program, *arguments), env=environment, cwd=self.folder, stdout=output, stderr=output
            )
        self.stack.callback(_stop, child)
        deadline = time.monotonic() + START_SECONDS
        while not _answers(port, path):
            if child.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{log.stem} does not answer:\n{log.read_text()}")
            time.sleep(0.05)


def _answers(port: int, path: str) -> bool:
    try:
        if path:
            return requests.get(f"http://127.0.0.1:{port}{path}", timeout=1).ok
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def _stop(child: "subprocess.Popen[bytes]") -> None:
    child.kill()
    child.wait()


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _write_fulcio_config(path: Path, issuers: Sequence[Issuer]) -> None:
    trusted = {
        issuer.url: {"IssuerURL": issuer.url, "ClientID": "sigstore", "Type": "github-workflow"} for issuer in issuers
    }
    path.write_text(json.dumps({"OIDCIssuers": trusted}))


def _write_trusted_root(folder: Path, name: str, fulcio: str, certificate_log: str, rekor: str, clock: str) -> None:
    since = f"start-time={LONG_AGO}"
    certificate = folder / ("fulcio.pem" if name == "right" else f"{name}.pem")
    cosign(
        "trusted-root", "create",
        f"--fulcio=url={fulcio},certificate-chain={certificate},{since}",
        f"--ctfe=url={certificate_log},public-key={folder / 'certificate-log.pem.pub'},{since}",
        f"--rekor=url={rekor},public-key={folder / 'rekor.key.pub'},{since},origin={LOG_NAME}",
        f"--tsa=url={clock}/api/v1/timestamp,certificate-chain={folder / 'clock.pem'},{since}",
        "--out", str(folder / f"trusted-root-{name}.json"),
    )  # fmt: skip


def _write_signing_config(path: Path, fulcio: str, rekor: str, clock: str) -> None:
    since = f"start-time={LONG_AGO},operator=shipshape.test"
    log = (f"--rekor=url={rekor},api-version=2,{since}", "--rekor-config=ANY") if rekor else ()
    cosign(
        "signing-config", "create",
        f"--fulcio=url={fulcio},api-version=1,{since}", *log,
        f"--tsa=url={clock}/api/v1/timestamp,api-version=1,{since}", "--tsa-config=ANY",
        "--out", str(path),
    )  # fmt: skip


def _ecdsa_key(path: Path) -> None:
    run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(path))
    _public(path)


def _public(key: Path) -> None:
    run("openssl", "pkey", "-in", str(key), "-pubout", "-out", f"{key}.pub")


def _authority(key: Path, certificate: Path, subject: str) -> None:
    """Make a root certificate with its key."""
    _ecdsa_key(key)
    run(
        "openssl", "req", "-x509", "-new", "-key", str(key), "-subj", subject, "-days", "2", "-out", str(certificate),
        "-addext", "basicConstraints=critical,CA:TRUE,pathlen:1", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
    )  # fmt: skip


def _timestamping_chain(key: Path, chain: Path) -> None:
    """Make the key and the certificate of a timestamp authority (RFC 3161, section 2.3), and the root above it."""
    root_key, root = chain.with_name("clock-root.key"), chain.with_name("clock-root.pem")
    _authority(root_key, root, "/O=shipshape.test/CN=clock root")
    _ecdsa_key(key)
    request, extensions, leaf = (chain.with_suffix(suffix) for suffix in (".csr", ".ext", ".leaf"))
    run("openssl", "req", "-new", "-key", str(key), "-subj", "/O=shipshape.test/CN=clock", "-out", str(request))
    extensions.write_text("keyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping\n")
    run(
        "openssl", "x509", "-req", "-in", str(request), "-CA", str(root), "-CAkey", str(root_key), "-days", "2",
        "-CAcreateserial", "-extfile", str(extensions), "-out", str(leaf),
    )  # fmt: skip
    chain.write_text(leaf.read_text() + root.read_text())
