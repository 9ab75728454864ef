"""`./ship up` and `./ship down`: the published image on this machine, or what an environment has."""

import json
import os

from scripts import BUILD, engine, registry
from scripts.failure import Failure
from scripts.grammar import Digest
from scripts.process import output, run
from scripts.record import Record
from scripts.release import published
from scripts.running import project
from scripts.terminal import say

# None: the image that was published from here last.
PORTS = {None: "5000", "dev": "5010", "test": "5020", "prod": "5030"}


def up(environment: str | None = None) -> str:
    """Start an image as compose.yaml has it, and show how to ask it.

    It is what the record of `environment` says, by its digest; without, what was published from here last.
    """
    image, port = _recorded(environment) if environment else published(), os.environ.get("PORT", PORTS[environment])
    repository, _, digest = image.partition("@")
    variables = {"REPOSITORY": repository, "DIGEST": digest, "PORT": port}
    run(*_compose(environment), "up", "--detach", env=variables)
    url = f"http://localhost:{port}"
    container = output(*_compose(environment), "ps", "--all", "--quiet", "service", env=variables)
    engine.await_answer(f"{url}/readyz", container)
    say(f"  curl -X POST {url}/predict -H 'Content-Type: application/json' -d '{_example(container)}'")
    return f"{image} answers at {url}; {' '.join(['./ship down', *filter(None, [environment])])} stops it"


def down(environment: str | None = None) -> str:
    """Stop what `up` started and remove its container."""
    run(*_compose(environment), "down", env={"REPOSITORY": "unused", "DIGEST": "unused"})
    return "stopped"


def _compose(environment: str | None) -> list[str]:
    return ["docker", "compose", *(["--project-name", project(environment)] if environment else [])]


def _recorded(environment: str) -> str:
    """Return what `environment` shall run, by digest, in the first repository that has it."""
    release = Record(environment).release
    if release is None:
        raise Failure(f"nothing was promoted to {environment} yet", f"./ship promote VERSION {environment}")
    unheard = []
    for repository in registry.repositories():
        reference = repository.at(Digest(release.digest))
        try:
            if registry.digest(reference):
                return reference
        except Failure as silent:
            unheard.append(silent.reason)
    raise Failure("; ".join(unheard) or f"no registry has {release} any more", "REGISTRIES names where to look")


def _example(container: str) -> str:
    """Return a request for this very model: the first golden row on its card."""
    BUILD.mkdir(exist_ok=True)
    output("docker", "cp", "--quiet", f"{container}:/model/card.json", str(BUILD / "card.json"))
    card = json.loads((BUILD / "card.json").read_bytes())
    return json.dumps({"features": card["golden"][0]["features"]})
