"""One seed, one run: the order in which trio runs tasks that are runnable at the same instant.

trio shuffles them on purpose, and has a switch of its own test suite's to do so by a seed. It is private, which is why
it is touched here and nowhere else; a version of trio without it would make runs differ, and the determinism test fail.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Final

import trio._core._run as trio_run

_SWITCH: Final = "_ALLOW_DETERMINISTIC_SCHEDULING"
_SHUFFLER: Final = "_r"


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """Schedule by this seed while the block lasts."""
    before = {name: getattr(trio_run, name) for name in (_SWITCH, _SHUFFLER)}
    setattr(trio_run, _SWITCH, True)
    setattr(trio_run, _SHUFFLER, Random(seed))  # noqa: S311  # the order of tasks, not secrecy
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(trio_run, name, value)
