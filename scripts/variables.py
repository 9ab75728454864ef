"""The variables that `./ship` reads: names, meanings and former names.

Those of other programs (`COSIGN_*`, `PORT`, `NO_COLOR`, `DOCKER_*`, …) keep their names and are not listed here.
"""

import difflib
import os
import platform
from collections.abc import Mapping

from scripts.errors import Failure

PREFIX = "SHIP_"
SHIPMENT = {
    "SHIP_SOURCE": "checkout whose model is shipped (default: this one)",
    "SHIP_FILE": "file in it that defines what is shipped (default: ship.toml)",
    "SHIP_NAME": "name of the model, instead of the one in the file",
    "SHIP_VERSION": "version of the image, instead of the one in the file",
    "SHIP_TABLE": "path of the table in the checkout, instead of the one in the file",
    "SHIP_TARGET": "column to predict, instead of the one in the file",
    "SHIP_REGISTRIES": 'repositories to publish to, such as "docker.io/me/wine ghcr.io/me/wine"',
    "SHIP_PLATFORMS": "platforms to build for, such as linux/amd64,linux/arm64",
}
IMAGES = {
    "SHIP_PYTHON_IMAGE": "base image, instead of the one pinned in the Dockerfile",
    "SHIP_REGISTRY_IMAGE": "image for the local registries",
    "SHIP_BUILDKIT_IMAGE": "BuildKit to build with, instead of the pinned one or the engine's",
}
SCAN = {
    "SHIP_OSV_API": "mirror of https://api.osv.dev, for a closed network",
    "SHIP_SCAN_UNCHECKED": "allow: in CI, continue when advisories cannot be fetched",
}
TRUST = {
    "SHIP_CALLER": "repository and ref that call the trusted workflow",
    "SHIP_OIDC_ISSUER": "issuer of a job's identity (default: GitHub)",
    "SHIP_TRUSTED_ROOT": "file that names the Sigstore to trust (default: the public one)",
    "SHIP_SIGNING_CONFIG": "file that names the Sigstore to sign with (default: the public one)",
}
ENVIRONMENTS = {
    **{f"SHIP_API_KEY_{name}": f"API key of the service in {name.lower()}" for name in ("DEV", "TEST", "PROD")},
    "SHIP_DEPLOY_KEY": "private SSH key that may push to main, for ./ship submit",
}
MEANINGS: Mapping[str, str] = {**SHIPMENT, **IMAGES, **SCAN, **TRUST, **ENVIRONMENTS}

# VERSION was one too, but is ignored silently: sourcing the record of an environment (deploy/environments/test.env)
# sets it to the version that runs there.
_RENAMED = {
    "SOURCE": "SHIP_SOURCE",
    "DATA": "SHIP_TABLE",
    "TARGET": "SHIP_TARGET",
    "NAME": "SHIP_NAME",
    **{name.removeprefix(PREFIX): name for name in ("SHIP_REGISTRIES", *IMAGES, *SCAN)},
}


def check() -> None:
    """Raise Failure when a variable is set by its former name, or a SHIP_ variable is unknown."""
    for old, new in _RENAMED.items():
        if os.environ.get(old) and not (old == "NAME" and os.environ[old] == platform.node()):  # as WSL sets it
            raise Failure(f"{old} is set, but was renamed", f"unset {old} and set {new} instead")
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in MEANINGS and os.environ[name]:
            close = difflib.get_close_matches(name, MEANINGS, n=1)
            raise Failure(
                f"{name} is set, but nothing reads it", f"{close[0]}?" if close else "./ship --help lists them"
            )
