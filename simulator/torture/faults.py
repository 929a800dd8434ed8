"""The fault classes: what each does to a world, for how long.

A fault is a short trio function. It strikes, waits, and takes back what it did; :meth:`Stage.heal` takes back the rest.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import inf
from random import Random
from typing import Final

import trio

from gapless.simulator.failure_modes import FailureMode, Mode, SelectMode
from gapless.simulator.torture.stage import SESSION, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One class of faults.

    Attributes:
        name: as ``--faults`` takes it.
        what: what it does, for a reader.
        strike: does it, for so many seconds; says whether there was anything to do it to.
    """

    name: str
    what: str
    strike: Callable[[Stage, Random, float], Awaitable[bool]]


FAULTS: Final[dict[str, Fault]] = {}
"""Name -> fault, in the order of definition."""

_Strike = Callable[[Stage, Random, float], Awaitable[bool]]


def fault(strike: _Strike) -> _Strike:
    """Register a function as a fault class of its name; the first line of its docstring says what it does.

    It counts where the function says that it acted.
    """
    name = strike.__name__
    what = (strike.__doc__ or "").splitlines()[0].rstrip(".")
    FAULTS[name] = Fault(name=name, what=what, strike=_counted(name, strike))
    return strike


def _counted(name: str, strike: _Strike) -> _Strike:
    async def counted(stage: Stage, random: Random, duration_s: float) -> bool:
        has_acted = await strike(stage, random, duration_s)
        stage.struck[name] += has_acted
        return has_acted

    return counted


def failure(
    name: str,
    what: str,
    kind: str,
    mode: Callable[[Random], Mode],
    *,
    provoke: str = "",
    longest_s: float = inf,
    stretch: float = 1.0,
) -> None:
    """Register a failure of the simulator as a fault class; it counts only where the simulator says it happened.

    Args:
        name: of the class.
        what: what it does.
        kind: field of ``FailuresConfig``.
        mode: draws the mode.
        provoke: ``disconnect`` or ``gap``: what makes it matter, since a handshake fails only where one is made, and a
            REST reply only where one is asked for.
        longest_s: it lasts no longer; some are dear to simulate.
        stretch: how much longer than others it lasts; some do harm only in the long run.
    """

    async def strike(stage: Stage, random: Random, duration_s: float) -> bool:
        before = stage.exchange.injected[kind]
        with stage.failing(kind, mode(random)):
            if provoke == "disconnect":
                stage.exchange.disconnect(SESSION)
            elif provoke == "gap":
                await lose_some(stage, random)
            await trio.sleep(min(stretch * duration_s, longest_s))
        return stage.exchange.injected[kind] > before

    FAULTS[name] = Fault(name=name, what=what, strike=_counted(name, strike))


SILENT: Final = FailureMode(enabled=True, after_messages=0, count=1)
"""The connection that is open says nothing more, nor does the next one."""


async def lose_some(stage: Stage, random: Random) -> None:
    """Make a gap now: a burst of which the middle is lost."""
    stage.market.burst()
    with stage.failing("drop", SelectMode(enabled=True, probability=1.0)):
        stage.market.burst(random.randint(2, 12))
        await trio.sleep(0.05)
    stage.market.burst()
