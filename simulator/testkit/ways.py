"""How a test gets a controller into each of the five states, by what happens in the world and nothing else.

A way ends when the controller is bound to get there: wait for the state behind it. It begins where the feed is
CONNECTED; :func:`mend` takes back what any of them did.
"""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from gapless.controller import State
from gapless.simulator.exchange import ExchangeSimulator
from gapless.simulator.failure_modes import Mode, SelectMode, ServerErrorMode
from gapless.simulator.network import VirtualNetwork
from gapless.simulator.testkit.controller_feed import ControllerFeed


class Scene(Protocol):
    """What a way lays its hands on; a :class:`~gapless.simulator.testkit.world.World` is one."""

    @property
    def network(self) -> VirtualNetwork:
        """What lies between the two."""
        ...

    @property
    def exchange(self) -> ExchangeSimulator:
        """The venue."""
        ...

    @property
    def ws_port(self) -> int:
        """Where its WebSocket is."""
        ...


Way = Callable[[Scene, ControllerFeed], Awaitable[None]]

DROPPED = 3
"""Data lost on the way to RESYNCING: the first few after the failures are set, whichever of them is under way."""


async def to_reconnecting(scene: Scene, feed: ControllerFeed) -> None:
    """The handshake of the next attempt is never answered. It lasts as long as an attempt may: 10 s."""
    await feed.until_state(State.CONNECTED)
    scene.exchange.failures.switch("stalled_handshake", Mode(enabled=True), feed.session_id)
    feed.controller.reconnect()


async def to_resyncing(scene: Scene, feed: ControllerFeed) -> None:
    """Some data is dropped on each stream, and REST fails, so that the gap stays. It lasts until :func:`mend`."""
    await feed.until_state(State.CONNECTED)
    exchange = scene.exchange
    streams = [stream for stream in feed.controller.streams if stream.channel in exchange.config.channels]
    newest = [exchange.last_id(stream.channel, stream.symbol) for stream in streams]
    ids = tuple(sorted({last + ahead for last in newest for ahead in range(1, DROPPED + 1)}))
    exchange.failures.switch("server_error", ServerErrorMode(enabled=True), feed.session_id)
    exchange.failures.switch("drop", SelectMode(enabled=True, ids=ids), feed.session_id)
    if not exchange.config.rate_per_s:
        for stream in streams:
            while exchange.last_id(stream.channel, stream.symbol) <= ids[-1]:
                exchange.publish(stream.channel, stream.symbol)


async def to_connected(scene: Scene, feed: ControllerFeed) -> None:
    """Nothing to do: it is where a healthy feed goes."""


async def to_silent(scene: Scene, feed: ControllerFeed) -> None:
    """The network swallows everything, both ways. It lasts until the silence is confirmed: 10 s."""
    await feed.until_state(State.CONNECTED)
    scene.network.black_hole()


async def to_rest_fallback(scene: Scene, feed: ControllerFeed) -> None:
    """The socket is dropped and the WebSocket's port refuses; REST works. Attempts come and fail meanwhile."""
    await feed.until_state(State.CONNECTED)
    visits = len(feed.moved(State.REST_FALLBACK))
    scene.network.refuse(scene.ws_port)
    scene.exchange.disconnect(feed.session_id)
    # The first loss may be earned and is retried at once; the second waits out its backoff.
    await feed.until(lambda: len(feed.moved(State.REST_FALLBACK)) >= visits + 2, what="a second REST_FALLBACK")


WAY_TO: Mapping[State, Way] = MappingProxyType(
    {
        State.RECONNECTING: to_reconnecting,
        State.RESYNCING: to_resyncing,
        State.CONNECTED: to_connected,
        State.SILENT: to_silent,
        State.REST_FALLBACK: to_rest_fallback,
    }
)
"""The way to each state."""


def mend(scene: Scene, feed: ControllerFeed) -> None:
    """Take back what the ways did, and leave every other failure as it is."""
    for kind in ("stalled_handshake", "server_error", "drop"):
        scene.exchange.failures.switch(kind, None, feed.session_id)
    scene.network.heal()
    scene.network.accept(scene.ws_port)
