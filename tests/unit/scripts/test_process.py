"""Running other programs."""

import signal
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from scripts import process
from scripts.errors import Failure
from scripts.process import Limit


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Ctrl-C counts, even where a shell that started these tests in the background lets them ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


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


@pytest.mark.parametrize(("ending", "status"), [("raise SystemExit(0)", 0), ("raise SystemExit(7)", 7)])
def test_what_runs_in_the_foreground_ends_as_it_says(ending: str, status: int) -> None:
    assert process.foreground(*python(ending)) == status


def test_what_a_signal_ended_has_the_status_that_a_shell_gives_it() -> None:
    assert process.foreground(*python("import os; os.kill(os.getpid(), 9)")) == 137


def test_ctrl_c_is_for_the_program_in_the_foreground() -> None:
    """The terminal sends it to both; the program asks whoever started it, too, as the terminal would."""
    program = "import os, signal; os.kill(os.getppid(), signal.SIGINT); raise SystemExit(5)"

    assert process.foreground(*python(program)) == 5
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, "afterwards it ends this program again"


def test_a_request_to_end_reaches_the_program_in_the_foreground_as_ctrl_c() -> None:
    program = """
import os, signal
try:
    os.kill(os.getppid(), signal.SIGTERM)
    signal.pause()
except KeyboardInterrupt:
    raise SystemExit(6)
"""

    assert process.foreground(*python(program)) == 6


def test_what_runs_meanwhile_is_stopped_at_the_end() -> None:
    with process.running(*python("import signal; signal.pause()")) as child:
        assert child.poll() is None

    assert child.poll() is not None


def test_what_runs_meanwhile_is_stopped_after_a_mistake() -> None:
    children = []

    def break_down() -> None:
        with process.running("sleep", "60") as child:
            children.append(child)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_down()
    assert children[0].poll() == -signal.SIGINT
