from __future__ import annotations

import hashlib

import pytest

from app.keys import KeyFormatError, Keys, digests

OLD, NEW = "the-old-key-0123456789", "the-new-key-0123456789=="


@pytest.mark.parametrize("text", [f"{OLD},{NEW}", f"{OLD} {NEW}\n", f"# both, for a week\n{OLD}\n\n{NEW}  # May\n"])
def test_several_keys_hold_at_once(text: str) -> None:
    keys = Keys(digests(text))

    assert keys.admit(f"Bearer {OLD}")
    assert keys.admit(f"bearer  {NEW}")


def test_a_key_may_be_known_by_its_digest_only() -> None:
    keys = Keys(digests(f"sha256:{hashlib.sha256(OLD.encode()).hexdigest()}"))

    assert keys.admit(f"Bearer {OLD}")
    assert not keys.admit(f"Bearer sha256:{hashlib.sha256(OLD.encode()).hexdigest()}")


def test_a_key_has_at_least_16_characters() -> None:
    assert Keys(digests("k" * 16)).admit(f"Bearer {'k' * 16}")
    with pytest.raises(KeyFormatError, match="shorter than 16"):
        digests("k" * 15)


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", f"Basic {OLD}", OLD, f"Bearer {OLD}x", f"Bearer {OLD[:-1]}", "Bearer é\xff"]
)
def test_nothing_else_is_admitted(header: str) -> None:
    assert not Keys(digests(OLD)).admit(header)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no key"),
        (" ,\n# only a comment\n", "no key"),
        (f"{OLD} secret", "key 2 is shorter than 16"),
        ("ein-schlüssel-mit-umlaut", "key 1 has characters"),
        ("sha256:0123456789abcdef", "key 1 has characters"),
        (f"sha256:{'0' * 64}secret", "key 1 has characters"),
    ],
)
def test_a_key_that_cannot_be_one_is_refused_without_showing_it(text: str, words: str) -> None:
    with pytest.raises(KeyFormatError, match=words) as caught:
        digests(text)

    assert "secret" not in str(caught.value)
    assert "umlaut" not in str(caught.value)
