"""GitHub Actions: outputs, summaries and warnings of `./ship` when it runs as a step.

Sources: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands and
https://docs.github.com/en/actions/reference/workflows-and-actions/variables
"""

import os
import re
from pathlib import Path

import msgspec

from scripts.console import plain, say
from scripts.errors import Failure
from scripts.grammar import document


class _Repository(msgspec.Struct):
    full_name: str
    private: bool
    """Whether access is restricted; also true of repositories that GitHub calls internal."""


class _Event(msgspec.Struct):
    repository: _Repository


def output(name: str, value: str) -> None:
    """Set this step's output `name` to `value`, one line. Does nothing outside GitHub."""
    if path := os.environ.get("GITHUB_OUTPUT"):
        with Path(path).open("a", encoding="utf-8") as outputs:
            outputs.write(f"{name}={plain(value)}\n")


def summarize(markdown: str, text: str) -> None:
    """Add a line to the summary of the run: `markdown`, then `text`, escaped. Does nothing outside GitHub."""
    if path := os.environ.get("GITHUB_STEP_SUMMARY"):
        escaped = re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", text)  # the words of others must not be read as Markdown
        with Path(path).open("a", encoding="utf-8") as summary:
            summary.write(f"{markdown}{escaped}\n\n")


def warn(text: str) -> None:
    """Print `text`; on GitHub it also appears on the page of the run."""
    say(f"::warning::{text}" if "GITHUB_ACTIONS" in os.environ else f"  {text}")


def require_public() -> None:
    """Raise Failure in a workflow of a private repository. Does nothing outside GitHub.

    GitHub signs provenance of private repositories with its own Sigstore, if at all, which the public trusted root does
    not contain: https://github.com/actions/attest#readme
    """
    if not (path := os.environ.get("GITHUB_EVENT_PATH")):
        return
    repository = document(Path(path).read_bytes(), _Event, "GitHub's description of this run").repository
    if repository.private:
        raise Failure(
            f"{repository.full_name} is private, so nobody else could verify the provenance of its images",
            "make it public (Settings → General), or publish from your own machine: docs/publishing.md",
        )
