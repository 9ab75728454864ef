"""`./ship verify REF`: the evidence that an image is what it claims to be, in every registry."""

from rich.text import Text

from scripts.console import Rows, console, say
from scripts.errors import Failure
from scripts.evidence.verification import Examination, examine
from scripts.oci import registry, tags


def verify(reference: str) -> str:
    """Show the evidence for `reference`, and say what that is. Raises Failure where any is missing or false."""
    found = examine(reference)
    _show(found)
    release = found.verified().release
    _say_what_is_newer(found)
    return f"{reference} is {release.digest}, version {release.version} of commit {release.revision.short}"


def _show(found: Examination) -> None:
    release, platforms = found.claim.release, found.claim.platforms
    rows = Rows("evidence", *found.repositories)
    rows.row("digest", *[release.digest] * len(found.repositories))
    for subject in dict.fromkeys(one.subject for one in found.findings):
        cells = [one for one in found.findings if one.subject == subject]
        rows.row(subject, *(Text(one.fact or one.fault, "green" if one.fact else "bold red") for one in cells))
    console.print(rows)
    say(f"  version {release.version}, commit {release.revision}, {', '.join(sorted(platforms))}")
    say(f"  trusted: {found.who}")


def _say_what_is_newer(found: Examination) -> None:
    """Say where a tag that follows the newest release stayed behind: for a moment that is so in every release."""
    if not (found.tag and tags.ALIAS.fullmatch(found.tag)):
        return
    version = found.claim.release.version
    for repository in found.repositories:
        try:
            later = tags.find_newer(found.tag, version, registry.tags(repository))
        except Failure as unknown:
            say(f"  {repository}: whether a newer release is there is not known: {unknown.reason}")
        else:
            if later:
                say(f"  {repository}: {later} is there, and {found.tag} is still {version}")
