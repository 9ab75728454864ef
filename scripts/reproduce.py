"""`./ship reproduce`: the published image built once more from its commit, and compared byte for byte.

What the image says of itself is a claim: the rebuild shows whether its commit, built here, gives the same digest.
Nothing of this checkout enters it but the commit, and of the environment only what reaches Docker and the network.
"""

import os
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from scripts import ROOT, registry, source
from scripts.difference import Part, base_only, compare, headline
from scripts.failure import Failure
from scripts.layout import Layout
from scripts.process import attempt, output, run
from scripts.reference import locate
from scripts.terminal import say

REVISION = "org.opencontainers.image.revision"
MODEL_FORMAT = "com.shipshape.model.format"
PIPELINE = "com.shipshape.pipeline.revision"
# What `scripts.source` reads, by the label that keeps it.
MODEL = {
    "DATA": "com.shipshape.model.data",
    "TARGET": "com.shipshape.model.target",
    "NAME": "org.opencontainers.image.title",
    "VERSION": "org.opencontainers.image.version",
}
# What the rebuild sees of the environment. A base from a mirror is meant; all else could change what is built.
KEPT = re.compile(
    r"PATH|HOME|USER|LOGNAME|TMPDIR|LANG|LC_\w+|TERM|COLUMNS|NO_COLOR|XDG_\w+|LD_LIBRARY_PATH|SSH_AUTH_SOCK|PYTHON_IMAGE"
    r"|DOCKER_(HOST|CONTEXT|CONFIG|CERT_PATH|TLS_VERIFY|API_VERSION)|BUILDX_CONFIG|SSL_CERT_\w+"
    r"|(?i:https?|all|no)_proxy"
)
# Changes of one layer that are shown; a base that was built on another day has thousands.
SHOWN = 20


@dataclass(frozen=True)
class Origin:
    """What an image says of how it was made."""

    labels: dict[str, str]
    platforms: list[str]

    @property
    def revision(self) -> str:
        return self.labels.get(REVISION, "")

    @property
    def is_of_another_repository(self) -> bool:
        """Whether the table is another repository's: then its commit is not the one whose pipeline built the image."""
        return PIPELINE in self.labels


def reproduce(reference: str = "", *, commit: str = "") -> str:
    """Rebuild the image `reference` from its commit, and return that the digests are the same one.

    `reference` is what `scripts.reference.locate` takes; without one, the version of this checkout. `commit` is built
    in place of the one that the image names.

    Raises Failure when the repositories do not agree on it, when its commit is not in this clone, when the rebuild
    fails, and, after the differences were shown, when it is another image.
    """
    wanted = reference or source.version()
    with tempfile.TemporaryDirectory(prefix="shipshape-reproduce-") as folder:
        found = locate(wanted)
        say(f"  pulling {found.reference}")
        registry.pull(found.reference, Path(folder, "published"))
        published = Layout(Path(folder, "published"))
        origin = _origin(published)
        revision = _commit(commit or _named(origin, wanted))
        rebuilt = _rebuilt(origin, revision, Path(folder))
        if rebuilt.digest == published.digest:
            return f"{wanted} is {published.digest}, and so is what {revision} builds"
        say(f"  published {published.digest}")
        say(f"  rebuilt   {rebuilt.digest}")
        differences = compare(published, rebuilt)
        _show(differences)
    raise Failure(
        f"{wanted} is not what {revision[:12]} builds: {headline(differences)}", _remedy(wanted, differences, commit)
    )


def _origin(image: Layout) -> Origin:
    """Read what `image` says of itself. Raises Failure when that is no format, or not one for all its platforms."""
    platforms = list(image.platforms)
    stated = [image.config(platform).get("config", {}).get("Labels") or {} for platform in platforms]
    if any(labels != stated[0] for labels in stated):
        raise Failure(f"its platforms name different origins: {stated}")
    model_format = stated[0].get(MODEL_FORMAT, "")
    if model_format not in {"onnx", "joblib"}:
        raise Failure(f"its label {MODEL_FORMAT} is {model_format!r}, and no image of this project has that")
    return Origin(stated[0], platforms)


def _named(origin: Origin, reference: str) -> str:
    """Return the commit that an image names. Raises Failure when it is none, or one with uncommitted changes."""
    if re.fullmatch(r"[0-9a-f]{40}", origin.revision):
        return origin.revision
    raise Failure(
        f"{reference} names no commit to build it from: its label {REVISION} is {origin.revision!r}",
        f"./ship reproduce {reference} --commit REV compares it with a commit of your choice",
    )


def _commit(name: str) -> str:
    """Return the 40 digits of the commit `name`. Raises Failure when the source's clone has none of that name."""
    root = source.root()
    done = attempt("git", "rev-parse", "--quiet", "--verify", "--end-of-options", f"{name}^{{commit}}", cwd=root)
    if done.returncode:
        fetch = "git fetch --tags origin; in a shallow clone, git fetch --tags --unshallow origin"
        raise Failure(f"the commit {name!r} is not in {root}", f"{fetch}; of another repository, SOURCE is its clone")
    return done.text.split()[-1]


def _checkout(clone: Path, revision: str, path: Path) -> Path:
    """Make a repository at `path` that holds one commit of `clone`, checked out, and nothing else."""
    git = ("git", "-C", str(path), "-c", "protocol.version=2", "-c", "advice.detachedHead=false")
    clean = _environment()
    output("git", "init", "--quiet", "--template=", str(path), env=clean)
    output(*git, "fetch", "--quiet", "--depth=1", clone.as_uri(), revision, env=clean)
    output(*git, "checkout", "--quiet", "--detach", revision, env=clean)
    return path


def _rebuilt(origin: Origin, revision: str, folder: Path) -> Layout:
    """Build `revision` in `folder`, with the pipeline that `origin` says and without any cache."""
    environment, pipeline = _environment(), revision
    if origin.is_of_another_repository:
        pipeline = origin.labels[PIPELINE]
        environment |= {variable: origin.labels.get(label, "") for variable, label in MODEL.items()}
        environment["SOURCE"] = str(_checkout(source.root(), revision, folder / "source"))
    checkout = _checkout(ROOT, pipeline, folder / "checkout")
    command = [sys.executable, "-m", "scripts", "build", "--no-cache", "--model-format", origin.labels[MODEL_FORMAT]]
    # Without the option a commit builds for this machine; older ones know no other way.
    if origin.platforms != [output("docker", "version", "--format", "{{.Server.Os}}/{{.Server.Arch}}")]:
        command += ["--platform", ",".join(origin.platforms)]
    run(*command, env=environment, cwd=checkout, remedy="see above; ./ship setup provides builder and base image")
    return Layout(checkout / "build" / "image")


def _environment() -> dict[str, str | None]:
    """Return every variable that is not to reach the rebuild, as one to take away."""
    return {name: None for name in os.environ if not KEPT.fullmatch(name)}


def _show(differences: list[Part]) -> None:
    for part in differences:
        say(f"  {part.title}")
        for change in part.changes[:SHOWN]:
            say(f"    {change}")
        if len(part.changes) > SHOWN:
            say(f"    and {len(part.changes) - SHOWN} more")


def _remedy(reference: str, differences: list[Part], commit: str) -> str:
    if base_only(differences):
        return "the bases differ: docs/reproducing.md says how to rebuild on the one that was published"
    return "" if commit else f"find out who published it before it runs anywhere: ./ship verify {reference}"
