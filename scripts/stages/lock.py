"""`./ship lock`: the hash-locked requirements files, written from pyproject.toml."""

from scripts import ROOT
from scripts.console import say
from scripts.requirements import LOCKS, compile_lock, resolve


def lock(*, upgrade: bool = False) -> str:
    """Write every lock file; with `upgrade`, at the newest versions that pyproject.toml allows."""
    for name in LOCKS:
        say(f"  {name}")
        compile_lock(name, ROOT / name, upgrade=upgrade)
    peers = sorted(ROOT.glob("scripts/bench/peers/*/requirements.in"))
    for peer in peers:
        say(f"  {peer.relative_to(ROOT)}")
        resolve(str(peer), "--python-version", "3.13", into=peer.with_suffix(".txt"), upgrade=upgrade)
    return f"{len(LOCKS) + len(peers)} files written"
