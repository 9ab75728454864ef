"""A type with a strict grammar for each kind of value from outside, and documents that consist of them.

Labels, manifests, records, registries, the environment and the files under `build/` are read through this module. Each
type is a `str` that can hold nothing else: `Digest("x")` raises ValueError.
"""

import re
from typing import Any, ClassVar, Self, TypeVar

import msgspec

from scripts.errors import Failure

Document = TypeVar("Document")
# Characters of a wrong value that are shown.
SHOWN = 80


class Token(str):
    """A printable text that follows the grammar of its class: nothing in it controls a terminal."""

    __slots__ = ()
    pattern: ClassVar[re.Pattern[str]]
    form: ClassVar[str]
    """The grammar in words, for the message about a value that breaks it."""

    def __new__(cls, text: str) -> Self:
        if not isinstance(text, str) or not cls.matches(text):
            raise ValueError(f"{shown(text)} is not {cls.form}")
        return super().__new__(cls, text)

    @classmethod
    def matches(cls, text: str) -> bool:
        """Return whether `text` follows the grammar."""
        return text.isprintable() and cls.pattern.fullmatch(text) is not None

    @classmethod
    def of(cls, text: str, what: str, remedy: str = "") -> Self:
        """Return `text` as this type. Raises Failure, which calls it `what`, when it breaks the grammar."""
        try:
            return cls(text)
        except ValueError as wrong:
            raise Failure(f"{what}: {wrong}", remedy) from wrong


class Digest(Token):
    """https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md#digests, for SHA-256."""

    pattern = re.compile(r"sha256:[0-9a-f]{64}")
    form = "a digest (sha256: and 64 hexadecimal digits)"

    @property
    def encoded(self) -> str:
        return self.removeprefix("sha256:")

    @property
    def short(self) -> str:
        """The first twelve digits, for display."""
        return self[: len("sha256:") + 12]


class Revision(Token):
    """A commit, by its full name."""

    pattern = re.compile(r"[0-9a-f]{40}")
    form = "a commit (40 hexadecimal digits)"

    @property
    def short(self) -> str:
        return self[:12]


class WorkTree(Token):
    """A commit, or a work tree that differs from it."""

    pattern = re.compile(r"[0-9a-f]{40}(-dirty)?")
    form = "a commit (40 hexadecimal digits), optionally followed by -dirty"


class Version(Token):
    """A PEP 440 version that is also a valid tag and has three numbers, from which the aliases are made."""

    pattern = re.compile(r"(?=.{5,64}$)(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){2}((a|b|rc)(0|[1-9][0-9]*))?")
    form = "a version (MAJOR.MINOR.PATCH, such as 1.4.0, optionally followed by a1, b1 or rc1)"


class Tag(Token):
    """https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pulling-manifests."""

    pattern = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
    form = "a tag (up to 128 letters, digits, dots, hyphens and underscores)"


class Name(Token):
    """The name of a model, which is also one part of a repository's path."""

    pattern = re.compile(r"(?=.{1,128}$)[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*")
    form = "a name (lower case letters and digits, with single dots, underscores or hyphens between them)"


class Repository(Token):
    """A registry and a path in it: https://github.com/distribution/reference/blob/v0.6.0/reference.go.

    As there, a registry is localhost, or has a dot or a port: every program takes `me/house-price` for a repository on
    Docker Hub, and not `me` for a registry.
    """

    _label = r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?"
    _part = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
    _registry = rf"(?=localhost/|[^/]*[.:]){_label}(\.{_label})*(:[0-9]{{1,5}})?"
    pattern = re.compile(rf"(?=.{{1,255}}$){_registry}(/{_part})+")
    form = "a repository (a registry and a path in it, such as docker.io/me/house-price)"

    @property
    def registry(self) -> str:
        return self.split("/", maxsplit=1)[0]

    def at(self, name: Tag | Digest) -> "Reference":
        """Return the reference to `name` in this repository."""
        return Reference(f"{self}{'@' if isinstance(name, Digest) else ':'}{name}")


class Reference(Token):
    """An image in a repository: by its tag, by its digest, or by both."""

    pattern = re.compile(r"(?P<repository>[^@]+?)(:(?P<tag>[^:/@]+))?(@(?P<digest>[^@]+))?")
    form = "a reference (a repository with a tag or a digest, such as docker.io/me/house-price:1.0.0)"

    @classmethod
    def matches(cls, text: str) -> bool:
        found = cls.pattern.fullmatch(text)
        kinds: dict[str, type[Token]] = {"repository": Repository, "tag": Tag, "digest": Digest}
        parts = {name: part for name, part in found.groupdict().items() if part is not None} if found else {}
        return len(parts) > 1 and all(kinds[name].matches(part) for name, part in parts.items())

    @property
    def repository(self) -> Repository:
        return Repository(self._part("repository") or "")

    @property
    def tag(self) -> Tag | None:
        return Tag(part) if (part := self._part("tag")) else None

    @property
    def digest(self) -> Digest | None:
        return Digest(part) if (part := self._part("digest")) else None

    def _part(self, name: str) -> str | None:
        found = self.pattern.fullmatch(self)
        return found[name] if found else None


class ImageReference(Token):
    """An image as Docker names it: https://github.com/distribution/reference/blob/v0.6.0/reference.go."""

    pattern = re.compile(r"(?=.{1,512}$)[a-zA-Z0-9]+([./:_-]+[a-zA-Z0-9]+)*(@sha256:[0-9a-f]{64})?")
    form = "an image (such as python:3.13-slim, optionally followed by @sha256:…)"


class Platform(Token):
    """https://github.com/opencontainers/image-spec/blob/v1.1.0/image-index.md, without variants."""

    pattern = re.compile(r"[a-z0-9]{1,32}/[a-z0-9]{1,32}")
    form = "a platform (such as linux/amd64)"


class Uri(Token):
    """A URI that is only compared and printed."""

    pattern = re.compile(r"[!-~]{0,2048}")
    form = "a URI (printable ASCII, without spaces)"


_OWN_NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
_ON_GITHUB = rf"(?=.{{1,512}}$)https://[a-z0-9.-]+(:[0-9]{{1,5}})?/(?P<repository>{_OWN_NAME}/{_OWN_NAME})"
_GIT_REF = r"refs/[A-Za-z0-9._/+@#-]+"


class Identity(Token):
    """A workflow as GitHub certifies it: one file at one ref or commit."""

    pattern = re.compile(rf"{_ON_GITHUB}/\.github/workflows/{_OWN_NAME}\.ya?ml@({_GIT_REF}|[0-9a-f]{{40}})")
    form = "a workflow's identity (https://github.com/OWNER/REPOSITORY/.github/workflows/FILE.yml@refs/heads/main)"


class Caller(Token):
    """The caller of a workflow as GitHub certifies it: the repository and the ref of the run."""

    pattern = re.compile(rf"{_ON_GITHUB}@(?P<ref>{_GIT_REF})")
    form = "a repository and a ref of it (https://github.com/OWNER/REPOSITORY@refs/heads/main)"

    @property
    def repository(self) -> str:
        """`OWNER/REPOSITORY`, as in GitHub's token."""
        return self._part("repository")

    @property
    def ref(self) -> str:
        return self._part("ref")

    def _part(self, name: str) -> str:
        found = self.pattern.fullmatch(self)
        return found[name] if found else ""


class Key(Token):
    """A key as cosign names it: a file, or a URI of a key management service."""

    pattern = re.compile(r"(?!-)(?!http:).{1,1024}")
    form = "a key (a file, or a URI such as awskms:///alias/ours)"


class FilePath(Token):
    """A file on this machine; it cannot be taken for an option."""

    pattern = re.compile(r"(?!-).{1,1024}")
    form = "the path of a file"


class Port(Token):
    """A TCP port in decimal digits."""

    pattern = re.compile(r"[1-9][0-9]{0,3}|[1-5][0-9]{4}|6([0-4][0-9]{3}|5([0-4][0-9]{2}|5([0-2][0-9]|3[0-5])))")
    form = "a port (1 to 65535)"


class Url(Token):
    """The address of a service, without credentials, which Git would keep, or characters that a shell expands."""

    _label = r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
    pattern = re.compile(
        rf"(?=.{{1,255}}$)https?://({_label}(\.{_label})*|\[[0-9A-Fa-f:.]+\])(:({Port.pattern.pattern}))?(/[A-Za-z0-9._-]*)*"
    )
    form = (
        "an address (https:// or http://, a host, and optionally a port and a path, such as https://test.example.com)"
    )


class RelativePath(Token):
    """A file inside a checkout: it cannot leave it or be taken for an option."""

    pattern = re.compile(r"(?=.{1,1024}$)(?![-/])(?!(.*/)?\.\.?(/|$))[^\\]+(?<!/)")
    form = "the path of a file inside the checkout"


class Column(Token):
    """The name of a column in a table."""

    pattern = re.compile(r".{1,256}")
    form = "the name of a column"


def document(data: bytes, kind: type[Document], what: str, remedy: str = "") -> Document:
    """Return JSON as `kind`, with each value checked by its grammar.

    Raises Failure, which calls the document `what`, when it is malformed.
    """
    try:
        return msgspec.json.decode(data, type=kind, dec_hook=_token)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise Failure(f"{what} is malformed: {wrong}", remedy) from wrong


def toml(data: bytes, kind: type[Document], what: str, remedy: str = "") -> Document:
    """Return TOML as `kind`, like `document`."""
    try:
        return msgspec.toml.decode(data, type=kind, dec_hook=_token)
    except (msgspec.DecodeError, ValueError, RecursionError) as wrong:  # ValueError: not UTF-8, or a huge number
        raise Failure(f"{what} is malformed: {wrong}", remedy) from wrong


def shown(value: object) -> str:
    """Return a wrong value in a printable form: quoted, on one line, and shortened."""
    text = ascii(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _token(kind: type[Any], value: Any) -> Any:  # noqa: ANN401 - msgspec's signature
    return kind(value)
