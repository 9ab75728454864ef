"""Output for people, whoever wrote the text."""

import pytest
from rich.console import Console

from scripts import console
from scripts.console import Rows, plain
from scripts.errors import Failure

FORGED = "1.0.0\n\x1b[32m✓ verify in 1.2 s: trusted\x1b[0m\r\x9b2J\u2028\u202egnorw"


def test_plain_text_is_one_line_without_control_characters() -> None:
    assert plain(FORGED) == r"1.0.0\n\x1b[32m✓ verify in 1.2 s: trusted\x1b[0m\r\x9b2J\u2028\u202egnorw"
    assert plain("größe → 2 …") == "größe → 2 …"


def test_a_text_cannot_forge_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    console.say(FORGED)
    console.report(Failure(FORGED, FORGED))
    with console.stage("verify") as result:
        result.append(FORGED)
    table = Rows("label", FORGED)
    table.row(FORGED, "x")
    console.console.print(table)
    printed = capsys.readouterr().out

    assert not any(line.lstrip("│ ").startswith("✓ verify in 1.2 s: trusted") for line in printed.splitlines())
    assert not {"\x1b", "\r", "\x9b", "\u2028", "\u202e"} & set(printed)


def test_markup_is_printed_literally(capsys: pytest.CaptureFixture[str]) -> None:
    table = Rows("label")
    table.row("[red]x[/red]")
    console.console.print(table)
    console.say("[bold]y")

    printed = capsys.readouterr().out
    assert "[red]x[/red]" in printed
    assert "[bold]y" in printed


def test_a_narrow_table_folds_without_cutting() -> None:
    digest = "sha256:" + "0123456789abcdef" * 4
    table = Rows("registry", "digest")
    table.row("docker.io/me/house-price", digest)
    console = Console(width=40, record=True, highlight=False)
    with console.capture() as captured:
        console.print(table)

    lines = [line.split("│")[2].strip() for line in captured.get().splitlines() if line.count("│") == 3]
    assert "".join(lines).endswith(digest)
