"""Container registries: reading tags and manifests, and copying layouts byte for byte.

skopeo does the work, with the credentials that `docker login` stored. Without configured registries, two local ones
stand in for Docker Hub and GHCR; the code path is the same.
"""

import hashlib
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from scripts import ROOT
from scripts.errors import Failure
from scripts.grammar import Digest, Platform, Reference, Repository, Tag, document
from scripts.oci.manifest import Config, Index
from scripts.process import Ended, Limit, attempt

# How long a registry may take to answer a query, and to transfer an image over a slow line.
ANSWER_SECONDS, COPY_SECONDS = 30.0, 20 * 60.0
# How long to wait before retrying after a server error, and how skopeo reports one: in words that differ by command,
# but always with HTTP's name of the status or with "StatusCode".
PAUSES = (1.0, 4.0)
FAULT = re.compile(r"\b5\d\d \(?[A-Z]|StatusCode: 5\d\d")
COPY = ("--insecure-policy", "copy", "--quiet", "--all", "--preserve-digests", "--retry-times", "2")
# How skopeo reports that a registry has no such manifest (MANIFEST_UNKNOWN and NAME_UNKNOWN of the OCI
# distribution-spec v1.1, or Harbor's own code), or denies access to it. Nothing else means "absent": proxies,
# credential helpers and broken servers have a "not found" of their own, and "manifest unknown: OCI …" is about a media
# type.
ABSENT = re.compile(
    r"reading manifest \S+ in \S+: "
    r"(manifest unknown(?!: OCI)|name unknown|unknown: (artifact|repository) \S+ not found)"
)
DENIED = re.compile(r"reading manifest \S+ in \S+: (errors:\\n)?denied\b")


class Absent(Failure):
    """A registry says that it has no such manifest."""


class Denied(Failure):
    """A registry does not tell this user whether something exists."""


class _Listed(msgspec.Struct):
    """What `skopeo list-tags` prints."""

    tags: list[str] = msgspec.field(name="Tags")


def is_local(reference: str) -> bool:
    """Return whether the registry of `reference` runs on this machine."""
    return _host(reference).rsplit(":", 1)[0] in {"localhost", "127.0.0.1"}


def digest(reference: Reference, *, may_be_new: bool = False) -> Digest | None:
    """Return the digest that `reference` points to, by its tag if it has one; None when it does not exist.

    Computed here from the bytes that the registry sends. Raises Failure when the registry does not answer, and Denied
    when it refuses to say; with `may_be_new` Denied means None too: Docker Hub and GHCR deny access to a repository
    until the first push creates it.
    """
    try:
        return _digest(manifest(reference.repository.at(reference.tag) if reference.tag else reference))
    except Absent:
        return None
    except Denied:
        if may_be_new:
            return None
        raise


def tags(repository: Repository) -> list[Tag]:
    """Return every tag of `repository`.

    Raises Failure when the registry sends no list, or one with a name that the OCI specification does not allow, as
    newer releases of skopeo do: a repository with a tag has a list.
    """
    done = _skopeo("list-tags", *_tls("", repository), "--", f"docker://{repository}", limit=_limit(repository))
    if done.returncode:
        raise _refused("does not list the tags of", repository, done)
    what = f"the tag list of {repository}"
    return [Tag.of(found, what) for found in document(done.stdout, _Listed, what).tags]


def push(layout: Path, reference: Reference) -> None:
    """Copy every blob and manifest of `layout` to `reference`, digests unchanged."""
    arguments = (*_tls("dest-", reference), "--", _inside(layout), _url(reference))
    _copy("does not accept", reference, *arguments, cwd=layout.parent)


def pull(reference: Reference, layout: Path) -> None:
    """Copy every blob and manifest of `reference` into a new OCI layout, digests unchanged."""
    arguments = (*_tls("src-", reference), "--", _url(reference), _inside(layout))
    _copy("does not send", reference, *arguments, cwd=layout.parent)


def push_index(folder: Path, reference: Reference) -> None:
    """Push the index `manifest.json` in `folder` to `reference`, whether or not the registry has what it lists."""
    arguments = ("--multi-arch=index-only", *_tls("dest-", reference), "--", f"dir:{folder}", _url(reference))
    done = _skopeo("--insecure-policy", "copy", "--quiet", *arguments, limit=_limit(reference))
    if done.returncode:
        raise _refused("does not accept", reference, done)


def tag(
    repository: Repository, digest: Digest, name: Tag, *, before_again: Callable[[], object] = lambda: None
) -> None:
    """Point the tag `name` of `repository` to `digest`, which the repository holds already.

    After a server error, `before_again` runs before each retry: it may raise, as when somebody else wrote the tag.
    """
    source, target = repository.at(digest), repository.at(name)
    arguments = (*_tls("src-", repository), *_tls("dest-", repository), "--", _url(source), _url(target))
    _copy("does not accept", target, *arguments, before_again=before_again)


def labels(reference: Reference) -> dict[str, str]:
    """Return the labels of the image `reference`; of an index, those for the platform of this machine."""
    return _config(reference).labels


def platforms(reference: Reference) -> list[Platform]:
    """Return the platform of each image in `reference`. Raises Failure when there is none, or an image has none."""
    data, what = manifest(reference), f"the manifest of {reference}"
    if "manifests" not in document(data, dict[str, Any], what):
        return [_config(reference).platform]
    targets = [entry.platform for entry in document(data, Index, what).manifests]
    if not targets:
        raise Failure(f"{reference} is an empty index")
    named = [target.platform for target in targets if target]
    if len(named) < len(targets):
        raise Failure(f"{reference} is an index with an image that names no platform, so no test result can be for it")
    return named


def _config(reference: Reference) -> Config:
    return document(_read("--config", reference), Config, f"the configuration of {reference}")


def manifest(reference: Reference) -> bytes:
    """Return the bytes of a manifest or an index.

    Raises Absent when it does not exist, and Failure when the bytes do not match the digest in `reference`.
    """
    data = _read("--raw", reference)
    if reference.digest not in {None, _digest(data)}:
        raise Failure(f"{_host(reference)} sends other content for {reference}: its digest is {_digest(data)}")
    return data


def _digest(data: bytes) -> Digest:
    return Digest(f"sha256:{hashlib.sha256(data).hexdigest()}")


def _read(what: str, reference: Reference) -> bytes:
    """Return what `skopeo inspect` reads of `reference`, byte for byte."""
    options = ("inspect", what, *_tls("", reference), "--", _url(reference))
    done = _skopeo(*options, limit=_limit(reference))
    if done.returncode:
        raise _refused("does not send", reference, done)
    return done.stdout


def _copy(
    refusal: str,
    reference: Reference,
    *arguments: str,
    cwd: Path = ROOT,
    before_again: Callable[[], object] = lambda: None,
) -> None:
    """Run `skopeo copy` in `cwd`. Raises Failure, which says that the registry of `reference` `refusal`."""
    limit = Limit(COPY_SECONDS, _host(reference))
    done = _skopeo(*COPY, *arguments, cwd=cwd, limit=limit, before_again=before_again)
    if done.returncode:
        raise _refused(refusal, reference, done)


def _skopeo(
    *arguments: str, limit: Limit, cwd: Path = ROOT, before_again: Callable[[], object] = lambda: None
) -> Ended:
    """Run skopeo and return how it ended, after two retries on server errors.

    Every call can be repeated safely: what is written is addressed by its digest.
    """
    done = attempt("skopeo", *arguments, cwd=cwd, limit=limit)
    for pause in PAUSES:
        if not (done.returncode and FAULT.search(done.stderr)):
            break
        time.sleep(pause)
        before_again()
        done = attempt("skopeo", *arguments, cwd=cwd, limit=limit)
    return done


def _refused(refusal: str, reference: str, done: Ended) -> Failure:
    """Return the failure that skopeo reported for `reference`, with a remedy."""
    found = re.findall(r'level=fatal msg="(.+)"', done.stderr) or [done.words]
    message = re.sub(r'^Error parsing image name \\".*?\\": ', "", found[-1]).replace('\\"', '"').replace("\\n", " ")
    kinds = {Absent: ABSENT, Denied: DENIED}
    kind = next((kind for kind, words in kinds.items() if words.search(done.stderr)), Failure)
    return kind(f"{_host(reference)} {refusal} {reference}: {message}", _remedy(_host(reference), message))


def _remedy(host: str, message: str) -> str:
    """Return the remedy for skopeo's `message`, empty when none is known."""
    if re.search(rf"pinging container registry {re.escape(host)}: .*connection refused", message):
        ours = "; for those of ./ship: docker start shipshape-docker-hub shipshape-ghcr" if is_local(host) else ""
        return f"start {host}, or correct its name{ours}"
    if re.search(
        r"unauthorized|authentication required|: (errors: )?denied\b|status code from registry 40[13]", message
    ):
        return f"docker login {host}, as a user who may read and write there"
    if FAULT.search(message) or re.search(r"toomanyrequests|(HTTP status:|status code from registry) 429", message):
        return f"try again later: the problem is at {host}"
    if "no such host" in message:
        return f"check the network, its DNS and the name {host}"
    return "free some space, here or on the registry" if "no space left on device" in message else ""


def _url(reference: Reference) -> str:
    """Return `reference` as skopeo's URL: by its digest if it has one, since skopeo does not take both."""
    return f"docker://{reference.repository.at(reference.digest) if reference.digest else reference}"


def _inside(layout: Path) -> str:
    """Return `layout` as skopeo's URL, relative to its parent folder: a colon in the full path would end it."""
    return f"oci:{layout.name}"


def _limit(reference: str) -> Limit:
    return Limit(ANSWER_SECONDS, _host(reference))


def _tls(side: str, reference: str) -> list[str]:
    """Return skopeo's flag for a registry on this machine, which speaks plain HTTP."""
    return [f"--{side}tls-verify=false"] if is_local(reference) else []


def _host(reference: str) -> str:
    return reference.split("/", maxsplit=1)[0]
