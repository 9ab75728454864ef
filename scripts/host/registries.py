"""The two local registries that stand in for Docker Hub and GHCR."""

from scripts.host import engine, images
from scripts.process import attempt, output, run
from scripts.shipment import LOCAL


def start() -> None:
    """Start them unless they run. Their content survives a stop."""
    for port, container in LOCAL.values():
        state = attempt("docker", "container", "inspect", "--format", "{{.State.Running}}", container)
        if state.text == "false":
            output("docker", "start", container)
        elif state.returncode:
            run("docker", "run", "--detach", "--name", container, "--restart", "unless-stopped",
                "--publish", f"127.0.0.1:{port}:5000", "--volume", f"{container}:/var/lib/registry",
                images.reference(images.REGISTRY), remedy="./ship setup")  # fmt: skip
        engine.await_answer(f"http://localhost:{port}/v2/", container)
