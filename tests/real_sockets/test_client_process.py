"""A client process that is stopped for longer than any of its timers: a laptop's lid, a paused container.

Half a minute of real time, and the only test that takes so long: what is late is the process itself, and its clock with
it. Virtual time can be made to jump, but not while the kernel goes on receiving for the process.
"""

import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import trio

from gapless.cli.oracle import Observed, Record, Terms, judge
from gapless.controller import Source, State
from gapless.simulator import Endpoints, ExchangeSimulator, RefuseMode, SimulatorConfig, serve_exchange
from gapless.simulator.testkit.deliveries import Issued
from gapless.simulator.testkit.issued import issued_to
from tests.kit import TICKER
from tests.real_sockets.processes import Watcher, watching

STOPPED_S: Final = 25.0
AFTERWARDS_S: Final = 2.0
"""How long requests are counted after the process goes on: a storm would come at once."""
BUDGET_PER_S: Final = 10
ROWS_PER_PAGE: Final = 1000
POLL_S: Final = 1.0
SETTINGS: Final = {
    "heartbeat_interval": 3.0,
    "heartbeat_timeout": 2.0,
    "rest_fetch_interval": POLL_S,
    "reconnect_max_backoff": 1.0,
}
"""PINGs are due and overdue while the process is stopped; what is refused is tried again soon."""


@asynccontextmanager
async def exchange_in_this_process() -> AsyncIterator[tuple[ExchangeSimulator, Endpoints]]:
    """Its record of what was issued and asked for is at hand; the clients are the other processes here."""
    config = SimulatorConfig(record=True, rate_per_s=50.0, symbols=(TICKER.symbol,), channels=(TICKER.channel,))
    exchange = ExchangeSimulator(config)
    async with serve_exchange(exchange) as endpoints:
        yield exchange, endpoints


def requests_since(exchange: ExchangeSimulator, session_id: str, since: float) -> int:
    return sum(1 for each in exchange.requests if each.session_id == session_id and each.time_s >= since)


def assert_contract(exchange: ExchangeSimulator, session_id: str, watcher: Watcher) -> None:
    """Exactly once, up to the last id that came, and inside the budget from the beginning to the end."""
    last = watcher.last_id(exchange.epoch)
    issued = {
        key: Issued(points=each.points[:last], owed_from=each.owed_from)
        for key, each in issued_to(exchange, session_id, [TICKER]).items()
    }
    requests_at = [each.time_s for each in exchange.requests if each.session_id == session_id]
    terms = Terms(states=frozenset({State.CONNECTED}), silence_max_s=0.0, requests_per_s_max=BUDGET_PER_S)
    record = Record(issued=issued, injected={}, requests_at=requests_at)
    assert judge(record, Observed(events=watcher.events, silences=()), terms).violations == ()
    assert watcher.lost == []


async def test_a_client_process_that_is_stopped_and_continued_goes_on_whole_and_without_a_storm() -> None:
    """Three clients: one whose socket lives, one whose socket is gone when it wakes, one that was refused and polled.

    The kernel has kept for the first all that came meanwhile, for the second the end of its connection, for the third
    nothing; every timer of each is due at once.
    """
    names = ("alive", "cut", "polling")
    async with exchange_in_this_process() as (exchange, at), AsyncExitStack() as stack:
        alive, cut, polling = watchers = [
            await stack.enter_async_context(watching(at.ws_url, at.rest_url, name, SETTINGS)) for name in names
        ]
        for watcher in watchers:
            await watcher.until_state(State.CONNECTED)
        exchange.failures.switch("refuse", RefuseMode(enabled=True), "polling")
        exchange.disconnect("polling")
        await polling.until(lambda: any(datum.source is Source.POLL for datum in polling.data))

        for watcher in watchers:
            watcher.process.send_signal(signal.SIGSTOP)
        await trio.sleep(STOPPED_S / 2)
        exchange.disconnect("cut")
        await trio.sleep(STOPPED_S / 2)
        woken_at, newest = time.time(), exchange.last_id(TICKER.channel, TICKER.symbol)
        moves_before = len(alive.moves)
        for watcher in watchers:
            watcher.process.send_signal(signal.SIGCONT)
        await trio.sleep(AFTERWARDS_S)

        pages = -(-newest // ROWS_PER_PAGE)
        polls = 1 + AFTERWARDS_S / POLL_S
        asked = {name: requests_since(exchange, name, woken_at) for name in names}
        assert asked["alive"] == 0, "it had missed nothing"
        assert asked["cut"] <= polls + pages
        assert asked["polling"] <= polls + pages
        exchange.behave("polling")
        for name, watcher in zip(names, watchers, strict=True):
            await watcher.until_state(State.CONNECTED)
            await watcher.until_id(exchange.epoch, newest)
            assert_contract(exchange, name, watcher)
        assert len(alive.moves) == moves_before, "a stop of the process is no silence of the socket"
        assert [move.after for move in alive.moves] == [State.RESYNCING, State.CONNECTED]
        assert len({datum.generation for datum in cut.data}) == 2
