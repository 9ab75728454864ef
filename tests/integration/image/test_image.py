"""The content of the image."""

import json
from typing import Any

import pytest

from tests.integration.program import run
from tests.integration.service import Service


@pytest.fixture(scope="module")
def config(candidate: str) -> dict[str, Any]:
    return dict(json.loads(run("docker", "image", "inspect", candidate))[0])


def test_the_candidate_is_the_digest_that_was_built(config: dict[str, Any], built: dict[str, Any]) -> None:
    assert any(reference.endswith(f"@{built['digest']}") for reference in config["RepoDigests"])


def test_labels_name_the_model_and_its_source(config: dict[str, Any], built: dict[str, Any]) -> None:
    labels = config["Config"]["Labels"]

    assert labels["org.opencontainers.image.revision"] == built["revision"]
    assert labels["org.opencontainers.image.version"] == built["version"]
    assert labels["org.opencontainers.image.title"] == built["name"]
    assert labels["com.shipshape.model.data"] == built["data"]
    assert labels["com.shipshape.model.target"] == built["target"]
    assert labels.get("com.shipshape.pipeline.revision", built["revision"]) == built["pipeline"]


def test_it_runs_as_a_numeric_user_that_is_not_root(service: Service, config: dict[str, Any]) -> None:
    user = config["Config"]["User"]

    assert all(part.isdigit() and int(part) > 0 for part in user.split(":"))
    assert service.python("import os; print(os.getuid(), os.getgid())") == user.replace(":", " ")


@pytest.mark.parametrize("module", ["pip", "ensurepip", "pytest", "sklearn", "pandas", "skl2onnx", "onnx", "training"])
def test_build_tools_are_not_in_the_image(service: Service, module: str) -> None:
    found = service.python(f"import importlib.util; print(importlib.util.find_spec({module!r}))")

    assert found == "None"


def test_the_image_has_no_compiler_tests_or_package_cache(service: Service) -> None:
    look = """
import os, shutil
programs = [name for name in ("gcc", "cc", "make", "pip", "pip3", "curl", "wget", "git") if shutil.which(name)]
tests = [path for path, _, _ in os.walk("/opt") if os.path.basename(path) in ("tests", "test", "__tests__")]
caches = [path for path in ("/root/.cache", "/var/lib/apt/lists") if os.path.exists(path)]
print(programs + tests + caches)
"""
    assert service.python(look) == "[]"


def test_every_module_has_bytecode(service: Service) -> None:
    look = """
import importlib.util, pathlib
sources = [path for top in ("/opt/service", "/opt/packages") for path in pathlib.Path(top).rglob("*.py")]
print(len(sources) > 100, [str(path) for path in sources
                           if not pathlib.Path(importlib.util.cache_from_source(path)).exists()])
"""
    assert service.python(look) == "True []"


def test_the_configuration_has_no_trace_of_the_build(service: Service, config: dict[str, Any]) -> None:
    assert service.python("import os; print(os.path.exists('/run/secrets'))") == "False"
    assert not [name for name in config["Config"]["Env"] if "CERT" in name or "PIP" in name or "TOKEN" in name]


def test_every_needed_shared_library_is_present(service: Service) -> None:
    look = """
import glob, pathlib, subprocess
[linker] = glob.glob("/usr/lib*/ld-linux*")[:1] or glob.glob("/usr/lib/*/ld-linux*")
files = [path for top in ("/usr", "/opt") for path in pathlib.Path(top).rglob("*") if path.is_file()]
files = [path for path in files if path.open("rb").read(4) == bytes([127]) + b"ELF"]
asked = [(path, subprocess.run([linker, "--list", path], capture_output=True, text=True)) for path in files]
print(len(files) > 50, [str(path) for path, done in asked if "not found" in done.stdout + done.stderr])
"""
    assert service.python(look) == "True []"


def test_dpkg_lists_exactly_the_present_packages(service: Service) -> None:
    status = service.file("/var/lib/dpkg/status").decode()
    packages = [line.removeprefix("Package: ") for line in status.splitlines() if line.startswith("Package: ")]

    assert {"libc6", "ca-certificates", "coreutils"} <= set(packages)
    assert not {"apt", "dpkg", "perl-base", "util-linux"} & set(packages)
