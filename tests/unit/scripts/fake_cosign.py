"""A program called cosign that records its calls and gives prepared answers."""

import shutil
from dataclasses import dataclass
from pathlib import Path

PROGRAM = """#!/bin/sh
here={here}
call=$here/calls/$(ls "$here/calls" | wc -l)
mkdir "$call"
printf '%s\\0' "$@" >"$call/arguments"
printf '%s' "${{COSIGN_PASSWORD-unset}}" >"$call/password"
printf '%s' "$PWD" >"$call/started-in"
for argument; do
    file=${{argument#--*=}}
    [ ! -e "$file" ] || cp -R "$file" "$call/${{argument##*/}}"
done
for made in $(cat "$here/made"); do printf '%s' "$made" >"$made"; done
cat "$here/output"
cat "$here/error" >&2
exit "$(cat "$here/status")"
"""


@dataclass(frozen=True)
class Call:
    """One call, with copies of the files and folders in its arguments."""

    folder: Path

    @property
    def arguments(self) -> list[str]:
        return (self.folder / "arguments").read_text().split("\0")[:-1]

    @property
    def password(self) -> str:
        return (self.folder / "password").read_text()

    @property
    def started_in(self) -> Path:
        return Path((self.folder / "started-in").read_text())

    def file(self, option: str) -> Path:
        """Return the copy of the file given as `--option`."""
        [value] = [one.partition("=")[2] for one in self.arguments if one.startswith(f"--{option}=")]
        return self.folder / Path(value).name

    @property
    def last(self) -> Path:
        """The copy of the last argument."""
        return self.folder / Path(self.arguments[-1]).name


@dataclass(frozen=True)
class FakeCosign:
    folder: Path

    def install(self, programs: Path) -> "FakeCosign":
        (self.folder / "calls").mkdir(parents=True)
        self.makes()
        self.answers()
        program = programs / "cosign"
        program.write_text(PROGRAM.format(here=self.folder))
        program.chmod(0o755)
        return self

    def answers(self, output: bytes = b"", *, error: str = "", status: int = 0) -> None:
        (self.folder / "output").write_bytes(output)
        (self.folder / "error").write_text(error)
        (self.folder / "status").write_text(str(status))

    def makes(self, *names: str) -> None:
        """Let it create files in its working directory, each with its own name as content."""
        (self.folder / "made").write_text("\n".join(names))

    @property
    def calls(self) -> list[Call]:
        return [Call(path) for path in sorted((self.folder / "calls").iterdir(), key=lambda path: int(path.name))]

    def forget(self) -> None:
        shutil.rmtree(self.folder / "calls")
        (self.folder / "calls").mkdir()
