"""The commands of `./ship`: how they are grouped and what they are given. What they do is tested where it is done."""

import pytest
from click.testing import CliRunner

from scripts.__main__ import SECTIONS, ship
from scripts.grammar import Platform
from scripts.stages import integration, unit


def test_help_has_every_command_in_one_group() -> None:
    grouped = [name for names in SECTIONS.values() for name in names]

    assert sorted(grouped) == sorted(ship.commands)


@pytest.mark.parametrize("command", ship.commands)
def test_the_first_sentence_of_a_command_fits_the_list(command: str) -> None:
    assert not ship.commands[command].get_short_help_str(90).endswith("...")


@pytest.mark.parametrize("words", [["-kheader"], ["-k", "header", "-x"], ["tests/unit/app", "-vv"], ["--lf", "--pdb"]])
def test_arguments_of_unit_reach_pytest_as_typed(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit, "unit_of", lambda arguments: 5 if list(arguments) == words else 0)

    assert CliRunner().invoke(ship, ["unit", *words]).exit_code == 5


@pytest.mark.parametrize("words", [["-k", "batch"], ["tests/integration/image", "--only", "x"], ["-x", "-rh"]])
def test_what_follows_the_options_of_integration_is_pytest_s(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(integration, "integration_of", lambda *given, **options: seen.append((*given, options)))

    CliRunner().invoke(ship, ["integration", "--only", "image", "--platform", "linux/arm64", *words])

    assert seen == [(tuple(words), {"only": "image", "platform": Platform("linux/arm64")})]
