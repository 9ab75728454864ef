"""Container registries: what a tag points to, which tags there are, and copying a layout there byte for byte.

skopeo does the talking, with the credentials that `docker login` stored. On a machine without any, two local
registries stand for Docker Hub and GHCR; the code path is the same.
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

# How long a registry may take to answer a question, and to take or give an image over a slow line.
ANSWER_SECONDS, COPY_SECONDS = 30.0, 20 * 60.0
# How long to wait before a registry is asked again that had a fault of its own, and how skopeo words that: differently
# for each thing that it does, and always with HTTP's own name of the status, or with "StatusCode".
PAUSES = (1.0, 4.0)
FAULT = re.compile(r"\b5\d\d \(?[A-Z]|StatusCode: 5\d\d")
COPY = ("--insecure-policy", "copy", "--quiet", "--all", "--preserve-digests", "--retry-times", "2")
# How skopeo words a registry's answer about one manifest: that there is none (MANIFEST_UNKNOWN and NAME_UNKNOWN of the
# OCI distribution-spec v1.1, or Harbor's own code), or that it may not be read. Nothing else means that it is not
# there: a proxy, a credential helper and a server's bad day all have "not found" of their own, and an image in a form
# that was not asked for is "manifest unknown: OCI …".
ABSENT = re.compile(
    r"reading manifest \S+ in \S+: "
    r"(manifest unknown(?!: OCI)|name unknown|unknown: (artifact|repository) \S+ not found)"
)
DENIED = re.compile(r"reading manifest \S+ in \S+: (errors:\\n)?denied\b")


class Absent(Failure):
    """A registry says that it does not have what it was asked for."""


class Denied(Failure):
    """A registry does not say whether something is there to whoever asks from here."""


class _Listed(msgspec.Struct):
    """What `skopeo list-tags` prints."""

    tags: list[str] = msgspec.field(name="Tags")


def is_local(reference: str) -> bool:
    """Return whether the registry of `reference` runs on this machine."""
    return _host(reference).rsplit(":", 1)[0] in {"localhost", "127.0.0.1"}


def digest(reference: Reference, *, may_be_new: bool = False) -> Digest | None:
    """Return the digest of what `reference` points to, by its tag where it has one; None when there is no such thing.

    It is computed here, from the bytes that the registry gives. Raises Failure when the registry does not answer, and
    Denied when it does not say; with `may_be_new` that is None, too: Docker Hub and GHCR deny a repository that the
    first push will make.
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

    Raises Failure when the registry gives no list: there is one as soon as there is a tag. A list with a name that the
    OCI specification does not allow is refused here, as skopeo itself does in newer releases.
    """
    done = _skopeo("list-tags", *_tls("", repository), "--", f"docker://{repository}", limit=_limit(repository))
    if done.returncode:
        raise _refused("gives no list of the tags of", repository, done)
    what = f"the list of the tags of {repository}"
    return [Tag.of(found, what) for found in document(done.stdout, _Listed, what).tags]


def push(layout: Path, reference: Reference) -> None:
    """Copy every blob and manifest of `layout` to `reference`, digests unchanged."""
    arguments = (*_tls("dest-", reference), "--", _inside(layout), _url(reference))
    _copy("does not take", reference, *arguments, cwd=layout.parent)


def pull(reference: Reference, layout: Path) -> None:
    """Copy every blob and manifest of `reference` into a new OCI layout, digests unchanged."""
    arguments = (*_tls("src-", reference), "--", _url(reference), _inside(layout))
    _copy("does not give", reference, *arguments, cwd=layout.parent)


def push_index(folder: Path, reference: Reference) -> None:
    """Let `reference` be the index `manifest.json` in `folder`; what it lists is there, or not."""
    arguments = ("--multi-arch=index-only", *_tls("dest-", reference), "--", f"dir:{folder}", _url(reference))
    done = _skopeo("--insecure-policy", "copy", "--quiet", *arguments, limit=_limit(reference))
    if done.returncode:
        raise _refused("does not take", reference, done)


def tag(
    repository: Repository, digest: Digest, name: Tag, *, before_again: Callable[[], object] = lambda: None
) -> None:
    """Let the tag `name` of `repository` point to `digest`, which it holds already.

    Where the registry has a fault, `before_again` is called before each further try: it may see that somebody else has
    written the tag meanwhile, and refuse.
    """
    source, target = repository.at(digest), repository.at(name)
    arguments = (*_tls("src-", repository), *_tls("dest-", repository), "--", _url(source), _url(target))
    _copy("does not take", target, *arguments, before_again=before_again)


def labels(reference: Reference) -> dict[str, str]:
    """Return the labels of the image `reference`; of an index, those of its platform that this machine would run."""
    return _config(reference).labels


def platforms(reference: Reference) -> list[Platform]:
    """Return the platform of each image that `reference` holds. Raises Failure when one has none, or there is none."""
    data, what = manifest(reference), f"the manifest of {reference}"
    if "manifests" not in document(data, dict[str, Any], what):
        return [_config(reference).platform]
    targets = [entry.platform for entry in document(data, Index, what).manifests]
    if not targets:
        raise Failure(f"{reference} is an index of no image")
    named = [target.platform for target in targets if target]
    if len(named) < len(targets):
        raise Failure(f"{reference} is an index with an image of no platform, so nobody knows what it was tested on")
    return named


def _config(reference: Reference) -> Config:
    return document(_read("--config", reference), Config, f"the configuration of {reference}")


def manifest(reference: Reference) -> bytes:
    """Return the bytes of a manifest or an index.

    Raises Failure when they are not of the digest in `reference`, and Absent when there is none.
    """
    data = _read("--raw", reference)
    if reference.digest not in {None, _digest(data)}:
        raise Failure(f"{_host(reference)} gives something else for {reference}, whose digest is {_digest(data)}")
    return data


def _digest(data: bytes) -> Digest:
    return Digest(f"sha256:{hashlib.sha256(data).hexdigest()}")


def _read(what: str, reference: Reference) -> bytes:
    """Return what `skopeo inspect` reads of `reference`, byte for byte."""
    options = ("inspect", what, *_tls("", reference), "--", _url(reference))
    done = _skopeo(*options, limit=_limit(reference))
    if done.returncode:
        raise _refused("cannot be asked about", reference, done)
    return done.stdout


def _copy(
    refusal: str,
    reference: Reference,
    *arguments: str,
    cwd: Path = ROOT,
    before_again: Callable[[], object] = lambda: None,
) -> None:
    """Run `skopeo copy` in `cwd`, between `reference` and what else is named. Raises Failure, which says `refusal`."""
    limit = Limit(COPY_SECONDS, _host(reference))
    done = _skopeo(*COPY, *arguments, cwd=cwd, limit=limit, before_again=before_again)
    if done.returncode:
        raise _refused(refusal, reference, done)


def _skopeo(
    *arguments: str, limit: Limit, cwd: Path = ROOT, before_again: Callable[[], object] = lambda: None
) -> Ended:
    """Run skopeo and return how it ended, at the third try where the registry has a fault of its own.

    Whatever is asked for or written by it can be so twice: what is written is known by its digest.
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
    """Return why the registry of `reference` did not do what it was asked for, in skopeo's words, and what may help."""
    found = re.findall(r'level=fatal msg="(.+)"', done.stderr) or [done.words]
    said = re.sub(r'^Error parsing image name \\".*?\\": ', "", found[-1]).replace('\\"', '"').replace("\\n", " ")
    kinds = {Absent: ABSENT, Denied: DENIED}
    kind = next((kind for kind, words in kinds.items() if words.search(done.stderr)), Failure)
    return kind(f"{_host(reference)} {refusal} {reference}: {said}", _remedy(_host(reference), said))


def _remedy(host: str, said: str) -> str:
    """Return what helps against what skopeo `said`; nothing where that is not known."""
    if re.search(rf"pinging container registry {re.escape(host)}: .*connection refused", said):
        ours = "; those that ./ship made: docker start shipshape-docker-hub shipshape-ghcr" if is_local(host) else ""
        return f"start {host}, or mend its name{ours}"
    if re.search(r"unauthorized|authentication required|: (errors: )?denied\b|status code from registry 40[13]", said):
        return f"docker login {host}, as somebody who may read and write there"
    if FAULT.search(said) or re.search(r"toomanyrequests|(HTTP status:|status code from registry) 429", said):
        return f"try again later: the fault is on the side of {host}"
    if "no such host" in said:
        return f"check the network and its DNS, or the name {host}"
    return "free some space, there or here" if "no space left on device" in said else ""


def _url(reference: Reference) -> str:
    """Return `reference` as skopeo takes it: by its digest where it has one, since it does not take both."""
    return f"docker://{reference.repository.at(reference.digest) if reference.digest else reference}"


def _inside(layout: Path) -> str:
    """Return `layout` as skopeo takes it from the folder that it is in: a colon in the path would end it."""
    return f"oci:{layout.name}"


def _limit(reference: str) -> Limit:
    return Limit(ANSWER_SECONDS, _host(reference))


def _tls(side: str, reference: str) -> list[str]:
    """Return skopeo's flag for a registry on this machine, which speaks plain HTTP."""
    return [f"--{side}tls-verify=false"] if is_local(reference) else []


def _host(reference: str) -> str:
    return reference.split("/", maxsplit=1)[0]
