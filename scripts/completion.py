"""Completion of what is typed after `./ship`: click's, for a program that is typed with its path and not in PATH."""

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

VARIABLE = "_SHIP_COMPLETE"
"""What tells `./ship` to complete a line and do nothing else; the file `ship` knows it, too."""


class Zsh(ZshComplete):
    """Asks the program by the path that was typed; click's looks it up in PATH, where it is not."""

    source_template = ZshComplete.source_template.replace(
        "    (( ! $+commands[%(prog_name)s] )) && return 1\n", ""
    ).replace("=zsh_complete %(prog_name)s)", "=zsh_complete ${~words[1]})")


class Fish(FishComplete):
    """Asks the program by the path that was typed."""

    source_template = FishComplete.source_template.replace(
        "(commandline -t) %(prog_name)s)", "(commandline -t) (commandline -opc)[1])"
    )


SHELLS: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": Zsh, "fish": Fish}


def script(program: click.Command, shell: str) -> str:
    """Return what `shell` has to run so that it completes the commands of `program`, typed as ./ship or ../ship."""
    return SHELLS[shell](program, {}, "ship", VARIABLE).source()
