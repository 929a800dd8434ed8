"""How a test gets a controller into each of the five states."""

from collections.abc import Awaitable, Callable

from gapless.controller import State
from gapless.simulator import FailuresConfig
from gapless.simulator.failure_modes import Mode, SelectMode, ServerErrorMode
from gapless.simulator.network import Direction
from tests.kit import Feed, World


async def to_reconnecting(w: World, feed: Feed) -> None:
    await feed.until_state(State.CONNECTED)
    w.fail(FailuresConfig(stalled_handshake=Mode(enabled=True)))
    feed.controller.reconnect()


async def to_resyncing(w: World, feed: Feed) -> None:
    await feed.until_state(State.CONNECTED)
    w.fail(FailuresConfig(server_error=ServerErrorMode(enabled=True), drop=SelectMode(enabled=True, ids=(60,))))


async def to_connected(w: World, feed: Feed) -> None:
    """Nothing to do: it is where a healthy feed goes."""


async def to_silent(w: World, feed: Feed) -> None:
    await feed.until_state(State.CONNECTED)
    w.network.black_hole(Direction.BOTH)


async def to_rest_fallback(w: World, feed: Feed) -> None:
    await feed.until_state(State.CONNECTED)
    w.network.refuse(w.ws_port)
    w.exchange.disconnect()
    # The first loss was earned and is retried at once; the second waits out its backoff.
    await feed.until(lambda: [move.after for move in feed.moves].count(State.REST_FALLBACK) == 2)


WAY_TO: dict[State, Callable[[World, Feed], Awaitable[None]]] = {
    State.RECONNECTING: to_reconnecting,
    State.RESYNCING: to_resyncing,
    State.CONNECTED: to_connected,
    State.SILENT: to_silent,
    State.REST_FALLBACK: to_rest_fallback,
}
