"""What a test of an app needs: a world on virtual time, and the contract to hold against what the app saw.

:func:`open_world` gives a :class:`World`, :meth:`World.feed` a :class:`Feed`; ``docs/testing.md`` tells the rest.
For adapters of venues, :func:`check_adapter` (``docs/adapters.md``).
"""

from gapless.simulator.testkit.conformance import (
    AdapterExamples,
    ConformanceError,
    Expect,
    LiveRun,
    PageExample,
    SnapshotExample,
    check_adapter,
    rest_reply,
)
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
    "AdapterExamples",
    "ConformanceError",
    "ControllerFeed",
    "Expect",
    "Feed",
    "LiveRun",
    "PageExample",
    "Recording",
    "SnapshotExample",
    "WaitTimeoutError",
    "World",
    "accounts_of",
    "broken_promises",
    "check_adapter",
    "mend",
    "open_world",
    "rest_reply",
    "virtual_wall_clock",
]
