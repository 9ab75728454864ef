"""The service compared with its /openapi.json by Schemathesis, with all of its checks."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis import Case, GenerationMode

from tests.integration.service import Service

# Half of them valid; the issue asks for 5,000 in all.
REQUESTS = int(os.environ.get("CONTRACT_REQUESTS", "5000"))
# More rows than are taken at a time is a 413; the other statuses are Schemathesis's own idea of a refusal.
CONFIGURATION = """
[checks.negative_data_rejection]
expected-statuses = [400, 413, 415]
"""
# Numbers without a range may be too large for a finite prediction. The first is Schemathesis's own idea of an answer.
UNBOUNDED = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 422]
"""


@pytest.fixture(scope="module")
def configuration(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Path:
    unbounded = any(one["type"] != "category" and not one["range"] for one in service.card["features"])
    path = tmp_path_factory.mktemp("contract") / "schemathesis.toml"
    path.write_text(CONFIGURATION + (UNBOUNDED if unbounded else ""))
    return path


def test_examples_and_edges_of_every_operation(service: Service, configuration: Path) -> None:
    """Examples, values on, above and below each boundary, and every method that is not offered."""
    done = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "--no-color", "--config-file", str(configuration),
            "run", f"{service.url}/openapi.json", "--checks", "all", "--phases", "examples,coverage", "--seed", "1",
        ],
        cwd=configuration.parent, check=False, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr


@pytest.mark.parametrize("mode", GenerationMode)
def test_many_bodies(mode: GenerationMode, service: Service, configuration: Path) -> None:
    """Bodies that the schema of /predict allows must be answered and others refused, both as documented.

    Hypothesis's own runner is used because Schemathesis's spends half its time on looking for slow answers.
    """
    config = schemathesis.Config.from_path(configuration)
    operation = schemathesis.openapi.from_url(f"{service.url}/openapi.json", config=config)["/predict"]["POST"]
    sent = 0

    @hypothesis.seed(1)
    @hypothesis.settings(
        max_examples=REQUESTS // 2,
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
        suppress_health_check=list(hypothesis.HealthCheck),
        database=None,
        deadline=None,
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Case[Any]) -> None:
        nonlocal sent
        case.call_and_validate(timeout=10)
        sent += 1

    ask()

    assert sent >= REQUESTS // 2
