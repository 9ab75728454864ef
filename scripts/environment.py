"""`./ship up` and `./ship down`: the published image on this machine."""

import json
import os

from scripts import engine
from scripts.process import output, run
from scripts.project import BUILD
from scripts.release import published
from scripts.terminal import say


def up() -> str:
    """Start the image that was published last, as compose.yaml has it, and show how to ask it."""
    image, port = published(), os.environ.get("PORT", "5000")
    environment = {"IMAGE": image, "PORT": port}
    run("docker", "compose", "up", "--detach", env=environment)
    url = f"http://localhost:{port}"
    container = output("docker", "compose", "ps", "--all", "--quiet", "service", env=environment)
    engine.await_answer(f"{url}/readyz", container)
    say(f"  curl -X POST {url}/predict -H 'Content-Type: application/json' -d '{_example(container)}'")
    return f"{image} answers at {url}; ./ship down stops it"


def down() -> str:
    """Stop what `up` started and remove its container."""
    run("docker", "compose", "down", env={"IMAGE": "unused", "PORT": "5000"})
    return "stopped"


def _example(container: str) -> str:
    """Return a request for this very model: the first golden row on its card."""
    output("docker", "cp", "--quiet", f"{container}:/model/card.json", str(BUILD / "card.json"))
    card = json.loads((BUILD / "card.json").read_bytes())
    return json.dumps({"features": card["golden"][0]["features"]})
