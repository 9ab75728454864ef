"""The card as a file: how it is written, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.model import Card, ModelError


def test_a_card_is_read_as_it_was_written(card: Card, tmp_path: Path) -> None:
    card.write(tmp_path / "card.json")

    assert Card.read(tmp_path / "card.json") == card
    lines = (tmp_path / "card.json").read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ["{", '  "name": "house-price",']
    assert (tmp_path / "card.json").read_bytes().endswith(b"\n}\n")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "Input data was truncated"),
        (b"\xff", "JSON is malformed"),
        (b'{"name": "\xff"}', "is not a model card: "),
    ],
)
def test_a_file_that_is_not_a_card_is_named(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_bytes(content)

    with pytest.raises(ModelError) as refused:
        Card.read(path)

    assert str(refused.value).startswith(f"{path} is not a model card: ")
    assert words in str(refused.value)


def test_a_missing_card_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as refused:
        Card.read(tmp_path / "card.json")

    assert str(refused.value) == f"{tmp_path / 'card.json'} cannot be read: No such file or directory"
