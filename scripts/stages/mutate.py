"""`./ship mutate`: small wrong changes of the code that matters, each of which some unit test has to notice."""

from scripts.mutation import mutmut


def mutate(path: str = "", *, write: bool = False) -> str:
    """Mutate what is in scope, or what of it is at `path` and below; see `mutmut.mutate`."""
    return mutmut.mutate(path, write=write)
