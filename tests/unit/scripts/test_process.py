"""Running other programs."""

import sys
import time
from collections.abc import Callable

import pytest

from scripts import process
from scripts.errors import Failure
from scripts.process import Limit


def python(program: str) -> tuple[str, ...]:
    return sys.executable, "-c", program


def test_output_is_unchanged_bytes() -> None:
    program = python(r"import sys; sys.stdout.buffer.write(b'{\r\n \xff\x00\r}\n')")

    assert process.data(*program) == b"{\r\n \xff\x00\r}\n"
    assert process.attempt(*program).stdout == b"{\r\n \xff\x00\r}\n"


def test_a_program_reads_its_input() -> None:
    assert process.attempt("cat", stdin=b"a\r\n\xff").stdout == b"a\r\n\xff"


def test_a_failure_quotes_the_end_of_the_output_and_has_a_remedy() -> None:
    program = python("import sys; print('out'); sys.exit('one\\ntwo\\nthree\\nfour')")

    with pytest.raises(Failure, match=r"two \| three \| four") as failed:
        process.output(*program, remedy="./ship setup")

    assert failed.value.remedy == "./ship setup"


def test_a_silent_program_is_reported_by_its_exit_status() -> None:
    with pytest.raises(Failure, match="exit status 7"):
        process.data(*python("raise SystemExit(7)"))


def test_a_missing_program_is_named() -> None:
    with pytest.raises(Failure, match="no-such-program is not installed"):
        process.attempt("no-such-program")


@pytest.mark.parametrize("call", [process.attempt, process.data, process.output, process.run])
def test_a_time_limit_ends_the_program_and_names_its_peer(call: Callable[..., object]) -> None:
    started = time.monotonic()

    with pytest.raises(Failure, match=r"registry\.example gave no answer within 0\.2 s"):
        call(*python("import time; time.sleep(60)"), limit=Limit(0.2, "registry.example"))

    assert time.monotonic() - started < 10
