"""Opening a world: an exchange on a virtual network, in virtual time.

>>> from gapless.controller import State
>>> async def story() -> list[str]:
...     async with open_world() as world, world.feed() as feed:
...         await feed.drive_to(State.REST_FALLBACK)
...         await feed.drive_to(State.CONNECTED)
...         feed.assert_contract()
...         return feed.path[:3]
>>> trio.run(story, clock=trio.testing.MockClock(autojump_threshold=0))
['RECONNECTING', 'RESYNCING', 'CONNECTED']
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
import trio.testing

from gapless.controller.groups import reraise, unwrapped
from gapless.simulator.config import SimulatorConfig
from gapless.simulator.exchange import ExchangeSimulator
from gapless.simulator.failure_modes import FailuresConfig
from gapless.simulator.network import DEFAULT_LATENCY_S, VirtualNetwork
from gapless.simulator.serve import serve_exchange
from gapless.simulator.testkit.world import World, virtual_wall_clock


@asynccontextmanager
async def open_world(
    *,
    rate_per_s: float = 1.0,
    seed: int = 1,
    latency_s: float = DEFAULT_LATENCY_S,
    failures: FailuresConfig | None = None,
    history_size: int = 100_000,
    channels: tuple[str, ...] = ("ticker",),
    symbols: tuple[str, ...] = ("BTC/USD", "ETH/USD"),
    config: SimulatorConfig | None = None,
) -> AsyncIterator[World]:
    """Run an exchange on a virtual network until the block is left. The run's clock must be a ``MockClock``.

    Args:
        rate_per_s: ids per second and stream; 0: nothing unless published by hand. They are what a run costs: a
            thousand take about a fifth of a second of the processor.
        seed: of the market, the failures and the jitter of the network.
        latency_s: one way.
        failures: of everybody, from the beginning; None: none.
        history_size: ids kept per stream for REST.
        channels: market channels.
        symbols: their symbols.
        config: the whole configuration instead of all of these but ``latency_s``.

    Raises:
        RuntimeError: the run is on real time, in which a test of an outage would take as long as the outage.
        AssertionError: a socket was left open.
    """
    if not isinstance(trio.lowlevel.current_clock(), trio.testing.MockClock):
        raise RuntimeError(  # noqa: TRY004 (it is the run that is of another kind)
            "a world needs virtual time: let the test take the fixture gapless_clock (or autojump_clock), or run it by "
            "trio.run(..., clock=MockClock(autojump_threshold=0))"
        )
    config = config or SimulatorConfig(
        seed=seed,
        rate_per_s=rate_per_s,
        channels=channels,
        symbols=symbols,
        failures=failures or FailuresConfig(),
        history_size=history_size,
        record=True,
    )
    network = VirtualNetwork(seed=config.seed, latency_s=latency_s)
    exchange = ExchangeSimulator(config, wall_clock=virtual_wall_clock)
    with network.installed():
        try:
            async with serve_exchange(exchange) as at:
                yield World(network, exchange, at.ws_url, at.rest_url)
        except BaseExceptionGroup as group:
            reraise(unwrapped(group))
        if network.open_sockets:
            raise AssertionError(f"sockets were left open: {network.connections}")
