"""Replacements for real programs, which give prepared answers and record their arguments."""

import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HANGS = f"exec {shutil.which('sleep')} 30"


def prints(stdout: str = "", *, stderr: str = "", status: int = 0) -> str:
    """Return a shell command that prints this and exits with `status`."""
    return f"printf %s {shlex.quote(stdout)}; printf %s {shlex.quote(stderr)} >&2; exit {status}"


@dataclass(frozen=True)
class Program:
    """An executable file, whose folder a test adds to PATH."""

    path: Path

    def answer(self, answers: Mapping[str, str]) -> None:
        """Let the program run the command in `answers` for its first argument, and fail for any other."""
        cases = "".join(f"{shlex.quote(verb)}) {answer};;\n" for verb, answer in answers.items())
        note = f"{{ printf '%s\\037' \"$@\"; echo; }} >>{shlex.quote(str(self._calls))}"
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_text(f'#!/bin/sh\n{note}\ncase "$1" in\n{cases}*) exit 64;;\nesac\n')
        self.path.chmod(0o755)

    @property
    def calls(self) -> list[list[str]]:
        """The arguments of each call, in order."""
        noted = self._calls.read_text().splitlines() if self._calls.exists() else []
        return [call.split("\x1f")[:-1] for call in noted]

    @property
    def _calls(self) -> Path:
        return self.path.with_name(f"{self.path.name}.calls")
