"""`./ship bench`: the measurements of docs/benchmarks.md, beside what other people would put there."""

from contextlib import ExitStack

from scripts.artifacts import built
from scripts.bench import growth, report
from scripts.bench.contenders import DEFAULT, Contender, choose, prepare
from scripts.bench.load import Load, provide_wrk, run_load
from scripts.bench.server import Golden, golden_rows, started
from scripts.console import say
from scripts.errors import Failure

WORKERS = 2
CONNECTIONS = 16


def bench(*, everyone: bool = False, quick: bool = False) -> str:
    """Measure the built image beside its peers, write the tables into docs/benchmarks.md, and return the outcome.

    Nothing about seconds is asserted, but every answer must be right. With `everyone` the large peers join; `quick`
    shows in a minute or two that all of it works, with figures that mean little.
    """
    image, effort = built(), growth.QUICK if quick else growth.FULL
    wrk = provide_wrk()
    contenders, absent = prepare(choose(everyone=everyone))
    golden = golden_rows()
    say("  single rows, round by round")
    loads, memory = _compare(contenders, absent, golden, effort)
    ours = contenders[0]
    measured = report.Measured(
        command=f"./ship bench{' --peers all' if everyone else ''}{' --quick' if quick else ''}",
        wrk=wrk,
        image=image,
        absent=absent,
        contenders=[one for one in contenders if one.key in loads],
        loads=loads,
        memory=memory,
        starts=growth.starts([one for one in contenders if one.key in {"ours", "fastapi"}], golden, effort),
        rows=growth.rows(ours, golden, effort),
        connections=growth.connections(ours, golden, effort),
        workers=growth.workers(ours, golden, effort, CONNECTIONS),
        profile=growth.profile(),
    )
    return f"{report.write(measured)}, in {report.PAGE.name}"


def _compare(
    contenders: list[Contender], absent: dict[str, str], golden: list[Golden], effort: growth.Effort
) -> tuple[dict[str, list[Load]], dict[str, float]]:
    """Load all in turn, round by round; gives each one's rounds, and its memory (PSS, MB) afterwards, by key.

    A large peer that does not get as far as a right answer is added to `absent`.
    """
    with ExitStack() as running:
        servers = []
        for one in contenders:
            try:
                server = running.enter_context(started(one, WORKERS))
                server.check(golden)
            except Failure as failure:
                if one in DEFAULT:
                    raise
                absent[one.name] = failure.reason
            else:
                servers.append(server)
        loads: dict[str, list[Load]] = {server.contender.key: [] for server in servers}
        for number in range(1, effort.rounds + 1):
            for server in servers:
                run_load(server, golden[0], CONNECTIONS, 1)  # warms caches up, and is thrown away
                load = run_load(server, golden[0], CONNECTIONS, effort.seconds)
                loads[server.contender.key].append(load)
                say(f"  round {number}  {load.pace:>9,.0f}/s  p99 {load.p99:6.1f} ms  {server.contender.name}")
        return loads, {server.contender.key: server.memory() for server in servers}
