from __future__ import annotations

import hashlib

import pytest

from app.api_keys import ApiKeys, KeyFormatError, digest_keys

OLD, NEW = "the-old-key-0123456789", "the-new-key-0123456789=="


@pytest.mark.parametrize("text", [f"{OLD},{NEW}", f"{OLD} {NEW}\n", f"# both, for a week\n{OLD}\n\n{NEW}  # May\n"])
def test_several_keys_are_valid_at_once(text: str) -> None:
    keys = ApiKeys(digest_keys(text))

    assert keys.admit(f"Bearer {OLD}")
    assert keys.admit(f"bearer  {NEW}")


def test_a_key_can_be_given_as_its_digest() -> None:
    keys = ApiKeys(digest_keys(f"sha256:{hashlib.sha256(OLD.encode()).hexdigest()}"))

    assert keys.admit(f"Bearer {OLD}")
    assert not keys.admit(f"Bearer sha256:{hashlib.sha256(OLD.encode()).hexdigest()}")


def test_a_key_has_at_least_16_characters() -> None:
    assert ApiKeys(digest_keys("k" * 16)).admit(f"Bearer {'k' * 16}")
    with pytest.raises(KeyFormatError, match="shorter than 16"):
        digest_keys("k" * 15)


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", f"Basic {OLD}", OLD, f"Bearer {OLD}x", f"Bearer {OLD[:-1]}", "Bearer é\xff"]
)
def test_no_other_header_is_accepted(header: str) -> None:
    assert not ApiKeys(digest_keys(OLD)).admit(header)


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
def test_an_invalid_key_is_refused_without_showing_it(text: str, words: str) -> None:
    with pytest.raises(KeyFormatError, match=words) as caught:
        digest_keys(text)

    assert "secret" not in str(caught.value)
    assert "umlaut" not in str(caught.value)
