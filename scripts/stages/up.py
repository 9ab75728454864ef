"""`./ship up`, `./ship shell` and `./ship down`: the published image on this machine, or what an environment has."""

import io
import os
import shlex
import sys
import tarfile

from scripts import model, shipment
from scripts.artifacts import published
from scripts.console import say
from scripts.environments.drift import compose_project
from scripts.environments.record import Record
from scripts.errors import Failure
from scripts.grammar import Port, Reference
from scripts.host import engine
from scripts.oci import registry
from scripts.process import Limit, data, foreground, output, run

# None: the image that was published from here last.
PORTS = {None: Port("5000"), "dev": Port("5010"), "test": Port("5020"), "prod": Port("5030")}


def up(environment: str | None = None) -> str:
    """Start an image as compose.yaml has it, and show how to ask it.

    It is what the record of `environment` says, by its digest; without, what was published from here last.
    """
    port = Port.of(os.environ.get("PORT") or PORTS[environment], "PORT")
    image = _recorded(environment) if environment else published()
    variables = {"REPOSITORY": image.repository, "DIGEST": image.digest, "PORT": port}
    pull = Limit(registry.COPY_SECONDS, image.repository.registry)
    run(*_compose(environment), "up", "--detach", env=variables, limit=pull)
    url = f"http://localhost:{port}"
    container = output(*_compose(environment), "ps", "--all", "--quiet", "service", env=variables)
    engine.await_answer(f"{url}/readyz", container)
    card = data("docker", "cp", f"{container}:/model/card.json", "-")
    say(f"  curl -X POST {url}/predict -H 'Content-Type: application/json' -d {shlex.quote(example(card))}")
    return f"{image} answers at {url}; {' '.join(['./ship down', *filter(None, [environment])])} stops it"


def shell(environment: str | None = None) -> int:
    """Open a shell in a container of the image that `up` starts, as compose.yaml has it; return its exit status."""
    image = _recorded(environment) if environment else published()
    terminal = () if sys.stdin.isatty() else ("--no-TTY",)
    say(f"  {image}; python3 -m app starts the service, exit leaves")
    return foreground(
        *_compose(environment), "run", "--rm", *terminal, "--entrypoint", "sh", "service",
        env={"REPOSITORY": image.repository, "DIGEST": image.digest},
    )  # fmt: skip


def down(environment: str | None = None) -> str:
    """Stop what `up` started and remove its container."""
    run(*_compose(environment), "down", env={"REPOSITORY": "unused", "DIGEST": "unused"})
    return "stopped"


def example(archive: bytes) -> str:
    """Return a request for the very model whose card is in `archive`, as docker cp gives it: the first golden row."""
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            [card] = [file.read() for member in files if (file := files.extractfile(member))]
    except (tarfile.TarError, KeyError, ValueError) as strange:
        raise Failure("the image has no file /model/card.json") from strange
    return model.example(card, "the card of the model in the image")


def _compose(environment: str | None) -> list[str]:
    return ["docker", "compose", *(["--project-name", compose_project(environment)] if environment else [])]


def _recorded(environment: str) -> Reference:
    """Return what `environment` shall run, by digest, in the first repository that has it."""
    release = Record(environment).fields.release
    if release is None:
        raise Failure(f"nothing was promoted to {environment} yet", f"./ship promote VERSION {environment}")
    unheard: list[Failure] = []
    for repository in shipment.repositories():
        reference = repository.at(release.digest)
        try:
            if registry.digest(reference):
                return reference
        except Failure as silent:
            unheard.append(silent)
    if unheard:
        raise Failure("; ".join(silent.reason for silent in unheard), unheard[0].remedy)
    raise Failure(
        f"no registry has {release} any more", "SHIP_REGISTRIES names the repositories that it was published to"
    )
