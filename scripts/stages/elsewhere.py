"""`./ship test --on SUITE`: the image built and tested on a bare machine, with the engine of another Debian release."""

import tempfile
from pathlib import Path

from scripts import checkout
from scripts.artifacts import IMAGE, Built, built
from scripts.console import say
from scripts.environments.record import require_history
from scripts.errors import Failure
from scripts.grammar import Revision, document
from scripts.host import machine
from scripts.host.machine import CHECKOUT
from scripts.oci import diff
from scripts.oci.layout import Layout
from scripts.process import data, output, run


def check() -> None:
    """Raise Failure unless a commit is checked out, with its history, that another machine can clone."""
    if checkout.commit().dirty:
        raise Failure("only a commit can be tested on another machine, and there are other changes", "git commit")
    require_history()


def test_on(suite: str) -> str:
    """Build and test the commit that was built here on a machine of `suite`, and compare the digests.

    Raises Failure when a stage fails there, and for another digest.
    """
    here = built()
    with machine.start(machine.image(suite)) as name:
        inside = ("docker", "exec", "--workdir", CHECKOUT, name)
        # Not HEAD: somebody may have committed here since the build.
        machine.clone(name, Revision.of(here.pipeline, "what was built"))
        for stage in (["setup"], ["build"], ["integration", "--only", "image"]):
            run(*inside, "./ship", *stage, remedy=f"see above what fails on {suite}")
        there = document(data(*inside, "cat", "build/image.json"), Built, f"build/image.json on {suite}")
        said = output(*inside, "cat", "build/setup.result")
        if there.digest != here.digest:
            _show_difference(name)
            raise Failure(f"on {suite} it is {there.digest}, here {here.digest}; there: {said}")
    return f"{there.digest}, as here: {said}"


def _show_difference(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        output("docker", "cp", f"{name}:{CHECKOUT}/build/image", folder)
        for line in diff.render(diff.compare(Layout(IMAGE), Layout(Path(folder, "image")))):
            say(f"  {line}")
