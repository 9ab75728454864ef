"""Completion with Tab: what is proposed, and that a shell takes it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import BashComplete

from scripts import ROOT, completion
from scripts.__main__ import ship


def proposed(*words: str) -> list[str]:
    """Return what is proposed for the last of `words` after `./ship`."""
    *before, typed = words
    return [found.value for found in BashComplete(ship, {}, "ship", "").get_completions(before, typed)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("pro",), ["promote"]),
        (("up", ""), ["dev", "test", "prod"]),
        (("integration", "--only", "n"), ["nightly"]),
        (("completion", ""), ["bash", "zsh", "fish"]),
    ],
)
def test_commands_options_and_values_are_proposed(words: tuple[str, ...], expected: list[str]) -> None:
    assert proposed(*words) == expected


@pytest.mark.parametrize("command", ["unit", "integration", "lint"])
def test_where_files_are_wanted_the_shell_is_told_to_look_for_them(command: str) -> None:
    [found] = BashComplete(ship, {}, "ship", "").get_completions([command], "tests/un")

    assert (found.type, found.value) == ("file", "tests/un")


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_a_script_asks_the_program_by_the_path_that_was_typed(shell: str) -> None:
    script = completion.script(ship, shell)

    assert f"{completion.VARIABLE}={shell}_complete" in script
    asked = {"bash": "bash_complete $1)", "zsh": "zsh_complete ${~words[1]})", "fish": "(commandline -opc)[1])"}
    assert asked[shell] in script
    assert "$+commands" not in script


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash on this machine")
@pytest.mark.parametrize("typed", ["./ship", "../project/ship"])
def test_bash_completes_what_the_program_proposes(tmp_path: Path, typed: str) -> None:
    (tmp_path / "project").mkdir()
    program = tmp_path / "project/ship"
    program.write_text(f'#!/bin/sh\ncd {ROOT} && exec {sys.executable} -m scripts "$@"\n')
    program.chmod(0o755)
    # `complete -p` says which function bash looks up for a command that is typed so.
    line = f"{completion.script(ship, 'bash')}\nCOMP_WORDS=({typed} rep) COMP_CWORD=1\n"
    line += 'complete -p ship >&2; _ship_completion "${COMP_WORDS[0]}"; echo "${COMPREPLY[*]}"'
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path / "project", check=False, capture_output=True, text=True)

    assert done.stdout == "reproduce\n", done.stderr
    assert done.stderr == "complete -o nosort -F _ship_completion ship\n"


def test_the_tab_key_installs_nothing(tmp_path: Path) -> None:
    shutil.copy(ROOT / "ship", tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    done = subprocess.run(
        ["./ship"],
        cwd=tmp_path,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", completion.VARIABLE: "bash_complete"},
        check=False,
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (tmp_path / ".venv").exists()
