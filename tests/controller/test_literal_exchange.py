"""The controller against an exchange of the specification's literal form: no epochs, no marks, rows without ids.

What cannot be told by ids is told by time: nothing comes twice, and nothing that REST still has is missing.
"""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import BalanceUpdate, OrderUpdate, State, Stream
from gapless.simulator import ExchangeSimulator, FailuresConfig, SelectMode, SimulatorConfig, serve_exchange
from gapless.simulator.network import VirtualNetwork
from tests.kit import ETHER, SESSION, TICKER, Feed, World, virtual_wall_clock

ORDERS, BALANCE = Stream("orders", "*"), Stream("balance", "*")


@asynccontextmanager
async def literal_world() -> AsyncIterator[World]:
    network = VirtualNetwork(seed=1)
    exchange = ExchangeSimulator(SimulatorConfig(literal=True, channels=("ticker",)), wall_clock=virtual_wall_clock)
    with network.installed():
        async with serve_exchange(exchange) as at:
            yield World(network, exchange, at.ws_url, at.rest_url)


def assert_whole_by_time(w: World, feed: Feed, stream: Stream) -> None:
    times = Counter(event.timestamp for event in feed.data if event.symbol == stream.symbol)
    ids = Counter(number for number in feed.ids(stream=stream) if number is not None)
    assert len(times) > 200, "hardly anything was delivered"
    assert set(times.values()) == {1}, "delivered twice"
    owed = {row.timestamp for row in w.exchange.get_price_history(stream.symbol) if row.timestamp >= min(times)}
    assert not [at for at in owed if at not in times and at < max(times)], "REST has what the app has not"
    assert ids, "no live data came"


Trouble = Callable[[World], Awaitable[None]]


async def drop(w: World) -> None:
    w.fail(FailuresConfig(drop=SelectMode(enabled=True, every_nth=7)))
    await trio.sleep(5)
    w.fail(FailuresConfig())


async def outage(w: World) -> None:
    w.network.refuse(w.ws_port)
    w.exchange.disconnect()
    await trio.sleep(15)
    w.network.accept(w.ws_port)


async def silence(w: World) -> None:
    w.exchange.go_silent(SESSION)
    await trio.sleep(15)


async def two_generations(w: World) -> None:
    await trio.sleep(3)
    w.exchange.disconnect()


@pytest.mark.parametrize("trouble", [drop, outage, silence, two_generations], ids=lambda each: each.__name__)
async def test_nothing_is_missing_and_nothing_comes_twice(trouble: Trouble, autojump_clock: MockClock) -> None:
    async with literal_world() as w, w.feed(TICKER, ETHER) as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(6)
        await trouble(w)
        await trio.sleep(15)
        await feed.until_state(State.CONNECTED)
        assert {event.reason for event in feed.lost} <= {"unverifiable"}
        for stream in (TICKER, ETHER):
            assert_whole_by_time(w, feed, stream)


async def test_a_restart_is_a_reset_though_no_epoch_names_it(autojump_clock: MockClock) -> None:
    async with literal_world() as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(6)
        seen = max(number or 0 for number in feed.ids())
        w.exchange.restart(downtime_s=2.0)
        await trio.sleep(20)
        assert feed.controller.state is State.CONNECTED
        (ended,) = [event for event in feed.lost if event.reason == "epoch_ended"]
        assert ended.end_seq is None
        assert ended.start_seq - 1 in {seen, seen + 1}, "one message may have been under way"
        issued = w.exchange.last_id("ticker", "BTC/USD")
        assert {number for number in feed.ids() if number} >= set(range(issued - 50, issued - 1))
        assert max(Counter(event.timestamp for event in feed.data).values()) == 1


async def test_accounts_are_healed_by_snapshots_without_ids(autojump_clock: MockClock) -> None:
    async with literal_world() as w, w.feed(TICKER, ORDERS, BALANCE) as feed:
        await feed.until_state(State.CONNECTED)
        order = w.exchange.place_order("BTC/USD", "buy", 1.0, 5.0)
        await trio.sleep(6)
        w.exchange.disconnect()
        w.exchange.fill_order(order.order_id)
        w.exchange.set_balance("USD", 995.0)
        await trio.sleep(10)
        assert feed.controller.state is State.CONNECTED
        orders = [event.order for event in feed.events if isinstance(event, OrderUpdate)]
        balances = [event.balance for event in feed.events if isinstance(event, BalanceUpdate)]
        assert (orders[0].status, orders[-1].status) == ("open", "filled")
        assert (balances[-1].asset, balances[-1].free) == ("USD", 995.0)
