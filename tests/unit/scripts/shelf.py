"""Registries in memory, in place of `scripts.oci.registry`, with a record of what was done."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from scripts.errors import Failure
from scripts.grammar import Digest, Reference, Repository, Tag
from scripts.oci import registry

HUB, GHCR = Repository("docker.io/me/x"), Repository("ghcr.io/me/x")
OURS, THEIRS = Digest(f"sha256:{'a' * 64}"), Digest(f"sha256:{'b' * 64}")


@dataclass
class Shelf:
    """Every repository of these registries."""

    held: dict[str, Digest] = field(default_factory=dict)
    """Digests by reference."""
    events: list[str] = field(default_factory=list)
    """What was done, in order: `ask`, `list`, `push` or `tag`, and its object."""
    layouts: list[Path] = field(default_factory=list)
    """What was pushed."""
    then: Callable[[str], None] = lambda _event: None
    """What somebody else does right after an event."""
    denied: set[Repository] = field(default_factory=set)
    """Repositories that do not exist yet, so that access is denied."""
    down: set[Repository] = field(default_factory=set)
    faults: int = 0
    """How many server errors come before a tag is written."""

    def install(self, monkeypatch: pytest.MonkeyPatch) -> "Shelf":
        for name in ("digest", "tags", "tag", "push"):
            monkeypatch.setattr(registry, name, getattr(self, name))
        monkeypatch.setenv("SHIP_REGISTRIES", f"{HUB} {GHCR}")
        return self

    def put(self, repository: Repository, name: str, digest: Digest) -> None:
        self.held[repository.at(Tag(name))] = digest

    def names(self, repository: Repository, digest: Digest = OURS) -> list[str]:
        """Return the tags of `repository` that are `digest`."""
        tags = {reference: found for reference, found in self.held.items() if reference.startswith(f"{repository}:")}
        return [reference.rpartition(":")[2] for reference, found in tags.items() if found == digest]

    @property
    def written(self) -> list[str]:
        return [what for verb, _, what in (event.partition(" ") for event in self.events) if verb in {"push", "tag"}]

    def digest(self, reference: Reference, *, may_be_new: bool = False) -> Digest | None:
        self._require(reference.repository)
        if reference.repository in self.denied and not may_be_new:
            raise registry.Denied(f"{reference} is denied")
        found = self.held.get(reference)
        self._happened("ask", reference)
        return found

    def tags(self, repository: Repository) -> list[Tag]:
        self._require(repository)
        found = [Tag(one.rpartition(":")[2]) for one in self.held if one.startswith(f"{repository}:")]
        self._happened("list", repository)
        return found

    def push(self, layout: Path, reference: Reference) -> None:
        self.layouts.append(layout)
        self._write("push", reference, reference.digest)

    def tag(
        self, repository: Repository, digest: Digest, name: Tag, *, before_again: Callable[[], object] = lambda: None
    ) -> None:
        for _ in range(self.faults):
            self.then("fault")
            before_again()
        assert repository.at(digest) in self.held, "only an existing manifest can be tagged"
        self._write("tag", repository.at(name), digest)

    def _write(self, verb: str, reference: Reference, digest: Digest | None) -> None:
        assert digest
        self._require(reference.repository)
        self.denied.discard(reference.repository)
        self.held[reference] = digest
        self._happened(verb, reference)

    def _require(self, repository: Repository) -> None:
        if repository in self.down:
            self._happened("silence", repository)
            raise Failure(f"{repository.registry} gave no answer within 30 s")

    def _happened(self, verb: str, what: str) -> None:
        self.events.append(f"{verb} {what}")
        self.then(self.events[-1])
