"""The hash-locked requirements files: what each holds, and how it is compiled from pyproject.toml."""

from pathlib import Path

from scripts.process import TOOLS, output

# The first lock file holds everything that this project uses, and the others take their versions from it, so that the
# tests run with the versions that are shipped.
ALL = "requirements/dev.txt"
BOOTSTRAP = ("--group", "bootstrap")
# Clients that talk to the image over HTTP only, so their versions need not match it.
CLIENTS = "tests/integration/clients/"
LOCKS = {
    ALL: ("pyproject.toml", "--all-extras", *BOOTSTRAP),
    "requirements.txt": ("pyproject.toml", "--extra", "onnx"),
    "requirements/joblib.txt": ("pyproject.toml", "--extra", "joblib"),
    "requirements/training.txt": ("pyproject.toml", "--extra", "onnx", "--extra", "joblib", "--extra", "training"),
    "requirements/uv.txt": BOOTSTRAP,
    **{f"{CLIENTS}{name}.txt": ("--group", f"client-{name}") for name in ("triton", "kserve", "mlflow")},
}


def compile_lock(name: str, path: Path, *, upgrade: bool = False) -> None:
    """Write the lock file `name` to `path`; versions already in `path` stay unless they must change."""
    constraint = () if name == ALL or name.startswith(CLIENTS) else ("--constraint", ALL)
    resolve(*LOCKS[name], *constraint, "--python-version", "3.11", into=path, upgrade=upgrade)


def resolve(*options: str, into: Path, upgrade: bool) -> None:
    """Resolve the requirements that `options` of uv name into `into`, whose versions stay unless they must change."""
    output(
        str(TOOLS / "uv"), "pip", "compile", *options, *(["--upgrade"] if upgrade else []), "--output-file", str(into),
        "--universal", "--generate-hashes", "--no-annotate", "--no-emit-find-links", "--quiet",
        "--custom-compile-command", "./ship lock", "--system-certs",
    )  # fmt: skip
