"""The contenders: the image, its upper bounds, and what others would run behind `/predict`."""

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scripts import ROOT
from scripts.artifacts import IMAGE
from scripts.console import say
from scripts.errors import Failure
from scripts.host import images
from scripts.host.debian import CA_BUNDLE
from scripts.process import output

OURS = "shipshape-bench/ours"
PEERS = ROOT / "scripts" / "bench" / "peers"
CONSTANT = ROOT / "scripts" / "bench" / "programs" / "constant.py"

Row = dict[str, object]


@dataclass(frozen=True)
class Contender:
    """A program that answers single rows."""

    key: str
    name: str
    """In the tables."""
    image: str = OURS
    options: tuple[str, ...] = ()
    """For `docker run`."""
    command: tuple[str, ...] = ()
    constant: bool = False
    """Whether it gives every row the answer of the first."""
    packages: tuple[str, ...] = ()
    """Packages whose versions the tables name."""
    path: str = "/predict"
    ask: Callable[[Row], object] = lambda row: {"features": row}
    """Turns a row into the request body, before JSON."""
    tell: Callable[[Any], float] = lambda reply: float(reply["prediction"][0])
    """Finds the prediction in the reply, after JSON."""

    @property
    def versions(self) -> str:
        """The packages with their locked versions."""
        if not self.packages:
            return ""
        lock = (PEERS / self.key / "requirements.txt").read_text()
        found = dict(re.findall(r"^(\S+)==(\S+)", lock, re.MULTILINE))
        return ", ".join(f"{package} {found[package]}" for package in self.packages)


def _constant(kind: str, name: str) -> Contender:
    options = ("--volume", f"{CONSTANT}:/constant.py:ro", "--entrypoint", "python3")
    return Contender(kind, name, options=options, command=("/constant.py", kind), constant=True)


def _columns(row: Row) -> object:
    """Return a row in the form of MLServer's pandas codec: one input per column."""
    return {
        "parameters": {"content_type": "pd"},
        "inputs": [
            {"name": name, "shape": [1], "datatype": "BYTES", "parameters": {"content_type": "str"}, "data": [value]}
            if isinstance(value, str)
            else {"name": name, "shape": [1], "datatype": "FP64", "data": [value]}
            for name, value in row.items()
        ],
    }


DEFAULT = (
    Contender("ours", "this service"),
    Contender("quiet", "this service without a log line for each request", options=("--env", "ACCESS_LOG=off")),
    _constant("bare", "bare WSGI callable that returns a constant, our server and settings"),
    _constant("flask", "Flask route that returns a constant, our server and settings"),
    Contender(
        "fastapi",
        "FastAPI on uvicorn, pydantic body, DataFrame",
        "shipshape-bench/fastapi",
        packages=("fastapi", "uvicorn", "scikit-learn", "pandas"),
    ),
    Contender(
        "tutorial",
        "the tutorial's Flask on gunicorn, 4 threads a worker",
        "shipshape-bench/tutorial",
        packages=("flask", "gunicorn", "scikit-learn", "pandas"),
    ),
)
LARGE = (
    Contender(
        "mlflow",
        "MLflow models serve, with uvloop",
        "shipshape-bench/mlflow",
        packages=("mlflow", "uvicorn", "scikit-learn", "pandas"),
        path="/invocations",
        ask=lambda row: {"dataframe_records": [row]},
        tell=lambda reply: float(reply["predictions"][0]),
    ),
    Contender(
        "bentoml",
        "BentoML",
        "shipshape-bench/bentoml",
        packages=("bentoml", "scikit-learn", "pandas"),
        tell=lambda reply: float(reply[0]),
    ),
    Contender(
        "mlserver",
        "MLServer, parallel workers",
        "shipshape-bench/mlserver",
        packages=("mlserver", "scikit-learn", "pandas"),
        path="/v2/models/house/infer",
        ask=_columns,
        tell=lambda reply: float(reply["outputs"][0]["data"][0]),
    ),
)


def choose(*, everyone: bool) -> tuple[Contender, ...]:
    """Return the contenders, this service first."""
    return DEFAULT + LARGE if everyone else DEFAULT


def prepare(contenders: tuple[Contender, ...]) -> tuple[list[Contender], dict[str, str]]:
    """Build the images; return the contenders that are ready, and the reason for each of the others by name.

    Raises Failure when one of DEFAULT is missing, without which the tables mean nothing.
    """
    _load_ours()
    ready, absent = [], {}
    for one in contenders:
        try:
            if one.image != OURS:
                _build(one)
        except Failure as failure:
            if one in DEFAULT:
                raise
            absent[one.name] = failure.reason
            say(f"  left out: {failure.reason}")
        else:
            ready.append(one)
    return ready, absent


def _load_ours() -> None:
    """Load the built image into the engine under the name OURS."""
    with tempfile.TemporaryDirectory() as folder:
        archive = f"{folder}/image.tar"
        wanted = f"docker-archive:{archive}:{OURS}:latest"
        output("skopeo", "--insecure-policy", "copy", "--quiet", f"oci:{IMAGE}", wanted)
        output("docker", "load", "--input", archive)


def _build(peer: Contender) -> None:
    say(f"  image {peer.image}")
    secret = ["--secret", f"id=ca,src={CA_BUNDLE}"] if CA_BUNDLE.exists() else []
    base = f"PYTHON_IMAGE={images.reference(images.PYTHON)}"
    output(
        "docker", "buildx", "build", "--builder", "default", "--load", "--quiet", "--tag", peer.image,
        "--file", "scripts/bench/peers/Dockerfile",
        "--build-arg", f"PEER={peer.key}", "--build-arg", base, *secret, ".",
    )  # fmt: skip
