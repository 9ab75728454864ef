"""`./ship build`: the image, as an OCI layout whose digest is its name."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from scripts import BUILD, ROOT, checkout, git
from scripts.console import say, size
from scripts.errors import Failure
from scripts.github import actions
from scripts.grammar import Column, Digest, Name, Platform, RelativePath, Version, WorkTree, document
from scripts.host import engine, images
from scripts.oci import platforms
from scripts.oci.layout import Layout
from scripts.oci.packing import pack
from scripts.process import Limit, output, run
from scripts.shipment import Source, commit, source

IMAGE = BUILD / "image"
RECORD = BUILD / "image.json"
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
# A build fetches Python packages and, where it is not here, the base image.
LIMIT = Limit(3600, "the build, or a mirror that it fetches from,")


@dataclass(frozen=True)
class Built:
    """What `build/image.json` says of the image in `build/image/`."""

    digest: Digest
    platforms: dict[Platform, Digest]
    size: int
    """Compressed bytes of all layers."""
    version: Version
    revision: WorkTree
    model_format: Literal["onnx", "joblib"]
    base: str
    """The base image: by digest where it was pulled, by local name and image id where it was made."""
    pipeline: WorkTree
    """The commit of this checkout, whose code made the image: `revision`, unless the table is another repository's."""
    name: Name
    data: RelativePath
    target: Column
    """What the model is called, and its table and target: see `scripts.shipment`."""


def build(*, model_format: Literal["onnx", "joblib"] = "onnx", wanted: Sequence[str] = (), cache: bool = True) -> str:
    """Build the image of what `scripts.shipment` names into `build/image/` and describe it in `build/image.json`.

    It is built from an export of the commit, so that nothing else can be in it, whatever Git ignores or was told not to
    look at; from the work tree only where that differs, and then the image says so and cannot be published.

    For one platform it is that platform's manifest, for several an index of them; without `wanted`, for this
    machine's. Both are replaced only when the build succeeded. Raises Failure when the base image is not here for a
    platform that it is needed for.
    """
    at, pipeline = commit(), checkout.commit().work_tree
    model, native = source(), platforms.native()
    if os.environ.get("VERSION") and model.root == ROOT:
        say(f"  VERSION={os.environ['VERSION']} is not read without SOURCE: this is {model.version}")
    table, context, loose, fresh = BUILD / "source", _context(model), BUILD / "image.loose", BUILD / "image.new"
    model.copy_to(table)
    for left_over in (loose, fresh):
        shutil.rmtree(left_over, ignore_errors=True)
    wanted = wanted or [native]
    base = images.reference(images.python(context))
    if lacking := images.lacking(images.PYTHON, [native, *wanted]):
        raise Failure(f"{base} is not here for {' and '.join(lacking)}", f"./ship setup --platform {','.join(wanted)}")
    bake = ["docker", "buildx", "bake", "--file", f"{context}/docker-bake.hcl", "--builder", engine.builder()]
    bake += ["--set", f"image.context={context}", "--set", f"image.platform={','.join(wanted)}"]
    arguments = {
        "SOURCE": str(table),
        "DATA": model.data,
        "TARGET": model.target,
        "NAME": model.name,
        "VERSION": model.version,
        "REVISION": at.work_tree,
        "PIPELINE": pipeline if pipeline != at.work_tree else "",
        "CREATED": at.created,
        "SOURCE_DATE_EPOCH": str(at.epoch),
        "MODEL_FORMAT": model_format,
        "PYTHON_IMAGE": base,
        "CA_BUNDLE": _ca_bundle(),
        "DESTINATION": str(loose),
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
    }
    remedy = "mend what is said above; ./ship setup, when it is the base image that is missing"
    with engine.one_build_at_a_time():
        run(*bake, *([] if cache else ["--no-cache"]), "image", env=arguments, remedy=remedy, limit=LIMIT)
    pack(loose, fresh)
    shutil.rmtree(loose)
    layout = Layout(fresh)
    built = Built(
        digest=layout.digest,
        platforms=layout.platforms,
        size=layout.size,
        version=model.version,
        revision=at.work_tree,
        model_format=model_format,
        base=_identified(base),
        pipeline=pipeline,
        name=model.name,
        data=model.data,
        target=model.target,
    )
    shutil.rmtree(IMAGE, ignore_errors=True)
    fresh.rename(IMAGE)
    RECORD.write_text(json.dumps(asdict(built), indent=2) + "\n")
    actions.output("digest", built.digest)
    return f"{built.digest} ({size(built.size)})"


def _ca_bundle() -> str:
    """Copy this machine's certificate authorities to where Bake may read: nothing outside its folder, since 0.20."""
    if not CA_BUNDLE.exists():
        return ""
    return str(shutil.copyfile(CA_BUNDLE, BUILD / CA_BUNDLE.name))


def _context(model: Source) -> Path:
    """Return the folder to build in: an export of the commit, or the work tree where that differs.

    Raises Failure when Git was told not to see that the version differs.
    """
    if (at := checkout.commit()).dirty:
        return ROOT
    context = BUILD / "context"
    git.export(at.revision, context, root=ROOT)
    if model.root == ROOT and checkout.version(context) != model.version:
        raise Failure(
            f"pyproject.toml says {model.version} here, and {checkout.version(context)} in the commit, unseen by Git",
            "git update-index --no-assume-unchanged --no-skip-worktree pyproject.toml",
        )
    return context


def built() -> Built:
    """Return what was built last. Raises Failure when nothing was, or when the layout is another image."""
    try:
        content = RECORD.read_bytes()
    except OSError as missing:
        raise Failure("nothing is built yet", "./ship build") from missing
    record = document(content, Built, "build/image.json", "./ship build")
    if Layout(IMAGE).digest != record.digest:
        raise Failure(f"{IMAGE} is not the image that {RECORD.name} describes", "./ship build")
    return record


def _identified(base: str) -> str:
    if "@sha256:" in base:
        return base
    return f"{base}@{output('docker', 'image', 'inspect', '--format', '{{.Id}}', base)}"
