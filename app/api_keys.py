"""API keys: who may send requests, by `Authorization: Bearer KEY` (RFC 6750)."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

SHORTEST = 16
_KEY = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # the token of RFC 6750, section 2.1
_HASHED = re.compile(r"sha256:([0-9a-fA-F]{64})")


class KeyFormatError(ValueError):
    """A key that no client can send, or that is too short; the message does not show it."""


def digest_keys(text: str) -> tuple[bytes, ...]:
    """Return the SHA-256 digests of the keys in `text`: separated by commas or white space, `#` starts a comment.

    A key can be written as `sha256:` and its digest in hexadecimal. Raises KeyFormatError, also if there is no key.
    """
    words = [word for line in text.splitlines() for word in re.split(r"[\s,]+", line.partition("#")[0]) if word]
    if not words:
        raise KeyFormatError("it contains no key")
    return tuple(_digest(number, word) for number, word in enumerate(words, 1))


def _digest(number: int, word: str) -> bytes:
    if hashed := _HASHED.fullmatch(word):
        return bytes.fromhex(hashed[1])
    if len(word) < SHORTEST:
        raise KeyFormatError(f"key {number} is shorter than {SHORTEST} characters")
    if not _KEY.fullmatch(word):
        raise KeyFormatError(f"key {number} has characters other than letters, digits and -._~+/")
    return hashlib.sha256(word.encode()).digest()


class ApiKeys:
    """The accepted keys, stored only as digests."""

    def __init__(self, digests: Iterable[bytes]) -> None:
        self._digests = tuple(digests)

    def __bool__(self) -> bool:
        """Whether a key is required."""
        return bool(self._digests)

    def admit(self, authorization: str) -> bool:
        """Whether an Authorization header carries one of the keys; takes the same time for every key."""
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return False
        found = hashlib.sha256(key.strip().encode("latin-1")).digest()
        return sum(hmac.compare_digest(found, digest) for digest in self._digests) > 0
