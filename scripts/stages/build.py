"""`./ship build`: the image, as an OCI layout whose digest is its name."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scripts import BUILD, ROOT, artifacts, checkout, git, shipment
from scripts.artifacts import IMAGE, Built
from scripts.checkout import Commit
from scripts.console import size
from scripts.errors import Failure
from scripts.github import actions
from scripts.grammar import Platform
from scripts.host import debian, engine, images
from scripts.oci.layout import Layout
from scripts.oci.packing import pack
from scripts.process import Limit, run
from scripts.shipment import Shipment

# A build fetches Python packages and, where it is not here, the base image.
LIMIT = Limit(3600, "the build, or a mirror that it fetches from,")


@dataclass(frozen=True)
class _Plan:
    """What is built, decided once: somebody may commit meanwhile."""

    what: Shipment
    at: Commit
    """Of the source, after which the image is named."""
    pipeline: Commit
    """Of this checkout."""
    platforms: Sequence[Platform]
    model_format: Literal["onnx", "joblib"]
    base: str

    @property
    def arguments(self) -> dict[str, str]:
        """What docker-bake.hcl takes, apart from paths."""
        pipeline = self.pipeline.work_tree
        return {
            "DATA": self.what.table,
            "TARGET": self.what.target,
            "NAME": self.what.name,
            "VERSION": self.what.version,
            "REVISION": self.at.work_tree,
            "PIPELINE": pipeline if pipeline != self.at.work_tree else "",
            "CREATED": self.at.created,
            "SOURCE_DATE_EPOCH": str(self.at.epoch),
            "MODEL_FORMAT": self.model_format,
            "PYTHON_IMAGE": self.base,
            "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
        }

    def describe(self, layout: Layout) -> Built:
        """Return the record of the image in `layout`."""
        pulled = "@sha256:" in self.base
        return Built(
            digest=layout.digest,
            platforms=layout.platforms,
            size=layout.size,
            version=self.what.version,
            revision=self.at.work_tree,
            model_format=self.model_format,
            base=self.base if pulled else f"{self.base}@{engine.image_id(self.base)}",
            pipeline=self.pipeline.work_tree,
            name=self.what.name,
            data=self.what.table,
            target=self.what.target,
        )


def build(
    *, model_format: Literal["onnx", "joblib"] = "onnx", wanted: Sequence[Platform] = (), cache: bool = True
) -> str:
    """Build the image of what is shipped into `build/image/` and describe it in `build/image.json`.

    It is built from an export of the commit, so that no ignored or hidden file can be in it; from the work tree only
    when that differs, and then the image says so and cannot be published.

    For one platform it is that platform's manifest, for several an index of them; without `wanted`, for those that
    ship.toml names or this machine's. Both are replaced only when the build succeeded. With `cache`, an image that was
    built of all this already is kept as it is. GitHub's later steps can read the outputs `digest` and `platforms`, a
    JSON list. Raises Failure when the base image is not here for a platform that it is needed for.
    """
    at, pipeline = shipment.commit(), checkout.commit()
    context, what, native = _context(pipeline), shipment.shipment(), engine.platform()
    wanted = wanted or shipment.platforms() or [native]
    table, loose, fresh = BUILD / "source", BUILD / "image.loose", BUILD / "image.new"
    what.copy_to(table)
    for left_over in (loose, fresh):
        shutil.rmtree(left_over, ignore_errors=True)
    base = images.reference(images.python_image(context))
    if lacking := images.missing_platforms(images.PYTHON, [native, *wanted]):
        raise Failure(f"{base} is not here for {' and '.join(lacking)}", f"./ship setup --platform {','.join(wanted)}")
    plan = _Plan(what, at, pipeline, wanted, model_format, base)
    if cache and (last := _still_built(plan)):
        return f"nothing changed: {_hand_on(last)}"
    bake = ["docker", "buildx", "bake", "--file", f"{context}/docker-bake.hcl", "--builder", engine.builder()]
    bake += ["--set", f"image.context={context}", "--set", f"image.platform={','.join(wanted)}"]
    paths = {"SOURCE": str(table), "CA_BUNDLE": _ca_bundle(), "DESTINATION": str(loose)}
    remedy = "mend what is said above; ./ship setup, when it is the base image that is missing"
    with engine.one_build_at_a_time():
        run(
            *bake,
            *([] if cache else ["--no-cache"]),
            "image",
            env={**plan.arguments, **paths},
            remedy=remedy,
            limit=LIMIT,
        )
    pack(loose, fresh)
    shutil.rmtree(loose)
    built = plan.describe(Layout(fresh))
    shutil.rmtree(IMAGE, ignore_errors=True)
    fresh.rename(IMAGE)
    artifacts.keep(built)
    return _hand_on(built)


def _hand_on(image: Built) -> str:
    """Write the outputs for GitHub's later steps, and return what `image` is."""
    actions.output("digest", image.digest)
    actions.output("platforms", json.dumps([*image.platforms]))
    return f"{image.digest} ({size(image.size)})"


def _still_built(plan: _Plan) -> Built | None:
    """Return what was built last, if that is of the same commits and of all else that is asked for, and whole."""
    if plan.at.dirty:  # how a work tree differs from its commit is written down nowhere
        return None
    layout = Layout(IMAGE)
    try:
        last = artifacts.built()
        layout.check()
    except Failure:
        return None
    same = last == plan.describe(layout) and set(last.platforms) == set(plan.platforms)
    return last if same else None


def _ca_bundle() -> str:
    """Copy this machine's certificate authorities to where Bake may read: nothing outside its folder, since 0.20."""
    bundle = debian.CA_BUNDLE
    return str(shutil.copyfile(bundle, BUILD / bundle.name)) if bundle.exists() else ""


def _context(at: Commit) -> Path:
    """Return the folder to build in: an export of the commit `at`, or the work tree where that differs."""
    if at.dirty:
        return ROOT
    context = BUILD / "context"
    git.export(at.revision, context, root=ROOT)
    return context
