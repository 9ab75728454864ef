"""GitHub Actions, where `./ship` runs as a step there: what it hands to later jobs, and what it says to a person.

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
    """Whether not everybody may read it: what GitHub calls internal is private, too."""


class _Event(msgspec.Struct):
    repository: _Repository


def output(name: str, value: str) -> None:
    """Let later steps and jobs read `value`, one line, as this step's output `name`. Elsewhere this does nothing."""
    if path := os.environ.get("GITHUB_OUTPUT"):
        with Path(path).open("a", encoding="utf-8") as outputs:
            outputs.write(f"{name}={plain(value)}\n")


def summarize(markdown: str, text: str) -> None:
    """Add a line to the summary of a run: `markdown` as it is, then `text` in words. Elsewhere this does nothing."""
    if path := os.environ.get("GITHUB_STEP_SUMMARY"):
        escaped = re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", text)  # somebody else's words are no Markdown
        with Path(path).open("a", encoding="utf-8") as summary:
            summary.write(f"{markdown}{escaped}\n\n")


def warn(text: str) -> None:
    """Print `text`; on GitHub it stands on the page of the run, too."""
    say(f"::warning::{text}" if "GITHUB_ACTIONS" in os.environ else f"  {text}")


def require_public() -> None:
    """Raise Failure in a workflow of a private repository. Elsewhere this does nothing.

    GitHub signs the provenance of a private repository with a Sigstore of its own, if at all, and what everybody trusts
    does not know that one: https://github.com/actions/attest#readme
    """
    if not (path := os.environ.get("GITHUB_EVENT_PATH")):
        return
    repository = document(Path(path).read_bytes(), _Event, "GitHub's description of this run").repository
    if repository.private:
        raise Failure(
            f"{repository.full_name} is private, and nobody outside could verify the provenance of its images",
            "make it public (Settings → General), or publish from a machine of yours: docs/publishing.md",
        )
