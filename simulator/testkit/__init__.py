"""What a test of an app needs: a world on virtual time, and the contract to hold against what the app saw.

:func:`open_world` gives a :class:`World`, :meth:`World.feed` a :class:`Feed`; ``docs/testing.md`` tells the rest.
"""

from gapless.simulator.testkit.contract import accounts_of, broken_promises
from gapless.simulator.testkit.controller_feed import SESSION, ControllerFeed
from gapless.simulator.testkit.opening import open_world
from gapless.simulator.testkit.recording import ETHER, TICKER, Recording, WaitTimeoutError
from gapless.simulator.testkit.ways import WAY_TO, mend
from gapless.simulator.testkit.world import Feed, World, virtual_wall_clock

__all__ = [
    "ETHER",
    "SESSION",
    "TICKER",
    "WAY_TO",
    "ControllerFeed",
    "Feed",
    "Recording",
    "WaitTimeoutError",
    "World",
    "accounts_of",
    "broken_promises",
    "mend",
    "open_world",
    "virtual_wall_clock",
]
