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

from packaging.version import Version as Ordered

from scripts import ROOT, checkout, git, shipment
from scripts.console import say
from scripts.errors import Failure
from scripts.grammar import Column, Name, Platform, RelativePath, Revision, Token, Version, shown
from scripts.host import engine
from scripts.oci import labels, registry
from scripts.oci.diff import Part, compare, only_base_differs, render, summarize
from scripts.oci.layout import Layout
from scripts.oci.location import locate
from scripts.process import output, run

# What `scripts.shipment` reads: the label that keeps each, and its grammar.
MODEL: dict[str, tuple[str, type[Token]]] = {
    "SHIP_TABLE": (labels.DATA, RelativePath),
    "SHIP_TARGET": (labels.TARGET, Column),
    "SHIP_NAME": (labels.TITLE, Name),
    "SHIP_VERSION": (labels.VERSION, Version),
}
# What these variables are called by commits that have no ship.toml.
_BEFORE_SHIP_TOML = {
    "SHIP_SOURCE": "SOURCE",
    "SHIP_TABLE": "DATA",
    "SHIP_TARGET": "TARGET",
    "SHIP_NAME": "NAME",
    "SHIP_VERSION": "VERSION",
    "SHIP_PYTHON_IMAGE": "PYTHON_IMAGE",
}
# What the rebuild sees of the environment. A base from a mirror is meant; all else could change what is built.
KEPT = re.compile(
    r"PATH|HOME|USER|LOGNAME|TMPDIR|LANG|LC_\w+|TERM|COLUMNS|NO_COLOR|XDG_\w+|LD_LIBRARY_PATH|SSH_AUTH_SOCK|SHIP_PYTHON_IMAGE"
    r"|DOCKER_(HOST|CONTEXT|CONFIG|CERT_PATH|TLS_VERIFY|API_VERSION)|BUILDX_CONFIG|SSL_CERT_\w+"
    r"|(?i:https?|all|no)_proxy"
)


@dataclass(frozen=True)
class Origin:
    """What an image says of how it was made: the claim that is to be shown true."""

    revision: Revision
    model_format: str
    platforms: list[Platform]
    pipeline: Revision | None
    """The commit of this repository, where `revision` is that of another, which the table is from."""
    model: dict[str, str]
    """Then the variables of `scripts.shipment`."""


def reproduce(reference: str = "", *, commit: str = "", last: bool = False) -> str:
    """Rebuild the image `reference` from its commit, and return that the digests are the same one.

    `reference` is what `locate` takes; without one, the version of this checkout, or with `last` the
    newest release that Git has a tag for, if there is any. `commit` is built in place of the one that the image names.

    Raises Failure when the repositories do not agree on it, when its commit is not in this clone, when the rebuild
    fails, and, after the differences were shown, when it is another image.
    """
    wanted = reference or (_last_release() if last else shipment.version())
    if not wanted:
        return "there is no release yet, so nothing to rebuild"
    with tempfile.TemporaryDirectory(prefix="shipshape-reproduce-") as folder:
        found = locate(wanted, shipment.repositories())
        say(f"  pulling {found.reference}")
        registry.pull(found.reference, Path(folder, "published"))
        published = Layout(Path(folder, "published"))
        origin = _origin(published, wanted, commit)
        revision = origin.revision
        rebuilt = _rebuilt(origin, Path(folder))
        if rebuilt.digest == published.digest:
            return f"{wanted} is {published.digest}, and so is what {revision} builds"
        say(f"  published {published.digest}")
        say(f"  rebuilt   {rebuilt.digest}")
        differences = compare(published, rebuilt)
        for line in render(differences):
            say(f"  {line}")
    raise Failure(
        f"{wanted} is not what {revision[:12]} builds: {summarize(differences)}", _remedy(wanted, differences, commit)
    )


def _last_release() -> Version | None:
    """Return the newest release, as Git's tags have it: `v1.4.0`. Pre-releases are none."""
    listed = git.data("for-each-ref", "--format=%(refname:strip=2)", "refs/tags/v*", root=shipment.root())
    names = listed.decode(errors="replace").split("\n")
    versions = [Version(name[1:]) for name in names if Version.matches(name[1:])]
    releases = [version for version in versions if not Ordered(version).is_prerelease]
    return max(releases, key=Ordered, default=None)


def _origin(image: Layout, reference: str, commit: str) -> Origin:
    """Read what `image` says of itself; `commit` takes the place of the one that it names.

    Raises Failure when it says something that no image of this project does, or not the same for all its platforms.
    """
    platforms = list(image.platforms)
    stated = image.labels(platforms[0])
    if any(image.labels(platform) != stated for platform in platforms):
        raise Failure(f"the platforms of {reference} name different origins")
    if (model_format := stated.get(labels.MODEL_FORMAT, "")) not in {"onnx", "joblib"}:
        raise Failure(
            f"its label {labels.MODEL_FORMAT} is {shown(model_format)}, and no image of this project has that"
        )
    named = not commit
    if named:
        remedy = f"./ship reproduce {reference} --commit REV compares it with a commit of your choice"
        commit = Revision.of(
            stated.get(labels.REVISION, ""), f"{reference} names no commit, by its label {labels.REVISION}", remedy
        )
    revision = _commit(commit, shipment.root())
    if named:
        _require_merged(revision, shipment.root())
    if labels.PIPELINE not in stated:
        return Origin(revision, model_format, platforms, None, {})
    pipeline = _commit(Revision.of(stated[labels.PIPELINE], f"the label {labels.PIPELINE}"), ROOT)
    _require_merged(pipeline, ROOT)
    model = {name: kind.of(stated.get(label, ""), f"the label {label}") for name, (label, kind) in MODEL.items()}
    return Origin(revision, model_format, platforms, pipeline, dict(model))


def _require_merged(revision: Revision, root: Path) -> None:
    """Raise Failure unless a commit that an image names is on main or on this branch: its code would run here."""
    if not any(checkout.is_in(revision, branch, root) for branch in ("main", "HEAD")):
        raise Failure(
            f"the image names commit {revision.short}, which is neither on main nor on this branch of {root}: "
            "to rebuild it would be to run its code",
            f"read that commit first, then ./ship reproduce … --commit {revision}",
        )


def _commit(name: str, root: Path) -> Revision:
    """Return the commit that `name` stands for in the clone `root`. Raises Failure when it has none of that name."""
    done = git.ask("rev-parse", "--quiet", "--verify", "--end-of-options", f"{name}^{{commit}}", root=root)
    if done.returncode:
        fetch = "git fetch --tags origin; in a shallow clone, git fetch --tags --unshallow origin"
        raise Failure(
            f"the commit {name!r} is not in {root}", f"{fetch}; of another repository, SHIP_SOURCE is its clone"
        )
    return Revision.of(done.text.split()[-1], f"what Git takes {name!r} for")


def _checkout(clone: Path, revision: Revision, path: Path) -> Path:
    """Make a repository at `path` that holds one commit of `clone`, checked out, and nothing else."""
    here = ("git", "-C", str(path), "-c", "protocol.version=2", "-c", "advice.detachedHead=false")
    clean = _environment()
    output("git", "init", "--quiet", "--template=", "--", str(path), env=clean)
    output(*here, "fetch", "--quiet", "--depth=1", "--end-of-options", clone.as_uri(), revision, env=clean)
    output(*here, "checkout", "--quiet", "--detach", revision, "--", env=clean)
    return path


def _rebuilt(origin: Origin, folder: Path) -> Layout:
    """Build `origin` in `folder`, without any cache."""
    model = dict(origin.model)
    if origin.pipeline:
        model["SHIP_SOURCE"] = str(_checkout(shipment.root(), origin.revision, folder / "source"))
    clone = _checkout(ROOT, origin.pipeline or origin.revision, folder / "checkout")
    command = [sys.executable, "-m", "scripts", "build", "--no-cache", "--model-format", origin.model_format]
    # Without the option a commit builds for this machine; older ones know no other way.
    if origin.platforms != [engine.platform()]:
        command += ["--platform", ",".join(origin.platforms)]
    if not (clone / "ship.toml").exists():
        if base := os.environ.get("SHIP_PYTHON_IMAGE"):
            model["SHIP_PYTHON_IMAGE"] = base
        model = {_BEFORE_SHIP_TOML[name]: value for name, value in model.items()}
    run(
        *command,
        env={**_environment(), **model},
        cwd=clone,
        remedy="see above; ./ship setup provides builder and base image",
    )
    return Layout(clone / "build" / "image")


def _environment() -> dict[str, str | None]:
    """Return every variable that is not to reach the rebuild, as one to take away."""
    return {name: None for name in os.environ if not KEPT.fullmatch(name)}


def _remedy(reference: str, differences: list[Part], commit: str) -> str:
    if only_base_differs(differences):
        return "the bases differ: docs/reproducing.md says how to rebuild on the one that was published"
    return "" if commit else f"find out who published it before it runs anywhere: ./ship verify {reference}"
