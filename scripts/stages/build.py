"""`./ship build`: the image, as an OCI layout whose digest is its name."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from scripts import BUILD, ROOT, artifacts, checkout, git, shipment
from scripts.artifacts import IMAGE, Built
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
    context, what, native = _context(), shipment.shipment(), engine.platform()
    wanted = wanted or shipment.platforms() or [native]
    table, loose, fresh = BUILD / "source", BUILD / "image.loose", BUILD / "image.new"
    what.copy_to(table)
    for left_over in (loose, fresh):
        shutil.rmtree(left_over, ignore_errors=True)
    base = images.reference(images.python_image(context))
    if lacking := images.missing_platforms(images.PYTHON, [native, *wanted]):
        raise Failure(f"{base} is not here for {' and '.join(lacking)}", f"./ship setup --platform {','.join(wanted)}")
    if cache and (last := _still_built(wanted, what, model_format, base)):
        return f"nothing changed: {_hand_on(last)}"
    bake = ["docker", "buildx", "bake", "--file", f"{context}/docker-bake.hcl", "--builder", engine.builder()]
    bake += ["--set", f"image.context={context}", "--set", f"image.platform={','.join(wanted)}"]
    paths = {"SOURCE": str(table), "CA_BUNDLE": _ca_bundle(), "DESTINATION": str(loose)}
    arguments = {**_arguments(what), **paths, "MODEL_FORMAT": model_format, "PYTHON_IMAGE": base}
    remedy = "mend what is said above; ./ship setup, when it is the base image that is missing"
    with engine.one_build_at_a_time():
        run(*bake, *([] if cache else ["--no-cache"]), "image", env=arguments, remedy=remedy, limit=LIMIT)
    pack(loose, fresh)
    shutil.rmtree(loose)
    built = _describe(Layout(fresh), what, model_format, base)
    shutil.rmtree(IMAGE, ignore_errors=True)
    fresh.rename(IMAGE)
    artifacts.keep(built)
    return _hand_on(built)


def _hand_on(image: Built) -> str:
    """Write the outputs for GitHub's later steps, and return what `image` is."""
    actions.output("digest", image.digest)
    actions.output("platforms", json.dumps([*image.platforms]))
    return f"{image.digest} ({size(image.size)})"


def _still_built(
    wanted: Sequence[Platform], what: Shipment, model_format: Literal["onnx", "joblib"], base: str
) -> Built | None:
    """Return what was built last, if that is of the same commits and of all else that is asked for, and whole."""
    if shipment.commit().dirty:  # how a work tree differs from its commit is written down nowhere
        return None
    layout = Layout(IMAGE)
    try:
        last = artifacts.built()
        layout.check()
    except Failure:
        return None
    same = last == _describe(layout, what, model_format, base) and set(last.platforms) == set(wanted)
    return last if same else None


def _arguments(what: Shipment) -> dict[str, str]:
    """Return what docker-bake.hcl takes from the commits and from `what` is shipped."""
    at, pipeline = shipment.commit(), checkout.commit().work_tree
    return {
        "DATA": what.table,
        "TARGET": what.target,
        "NAME": what.name,
        "VERSION": what.version,
        "REVISION": at.work_tree,
        "PIPELINE": pipeline if pipeline != at.work_tree else "",
        "CREATED": at.created,
        "SOURCE_DATE_EPOCH": str(at.epoch),
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
    }


def _describe(layout: Layout, what: Shipment, model_format: Literal["onnx", "joblib"], base: str) -> Built:
    return Built(
        digest=layout.digest,
        platforms=layout.platforms,
        size=layout.size,
        version=what.version,
        revision=shipment.commit().work_tree,
        model_format=model_format,
        base=base if "@sha256:" in base else f"{base}@{engine.image_id(base)}",
        pipeline=checkout.commit().work_tree,
        name=what.name,
        data=what.table,
        target=what.target,
    )


def _ca_bundle() -> str:
    """Copy this machine's certificate authorities to where Bake may read: nothing outside its folder, since 0.20."""
    bundle = debian.CA_BUNDLE
    return str(shutil.copyfile(bundle, BUILD / bundle.name)) if bundle.exists() else ""


def _context() -> Path:
    """Return the folder to build in: an export of the commit, or the work tree where that differs."""
    if (at := checkout.commit()).dirty:
        return ROOT
    context = BUILD / "context"
    git.export(at.revision, context, root=ROOT)
    return context
