"""The controller against an exchange of the specification's literal form: no epochs, no marks, rows without ids.

What cannot be told by ids is told by time: nothing comes twice, and nothing that REST still has is missing.
"""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
import trio
from starlette.responses import Response
from trio.testing import MockClock

from gapless.controller import BalanceUpdate, OrderUpdate, Source, State, Stream, StreamReset, Trigger
from gapless.simulator import (
    ExchangeSimulator,
    FailureMode,
    FailuresConfig,
    SelectMode,
    SimulatorConfig,
    serve_exchange,
)
from gapless.simulator.network import VirtualNetwork
from tests.kit import ETHER, SESSION, TICKER, Feed, World, virtual_wall_clock
from tests.scripted import Query, Socket, Venue, timestamp

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


@pytest.mark.parametrize("lag_s", [0.0, 0.1, 0.3])
async def test_a_restart_is_found_though_rest_has_shown_what_came_after_it(
    lag_s: float, autojump_clock: MockClock
) -> None:
    """A socket that lags behind REST: what REST has shown is no sign that the socket repeats itself."""
    rows: list[dict[str, object]] = []

    def issue() -> dict[str, object]:
        rows.append({"timestamp": timestamp(), "price": float(len(rows) + 1)})
        return rows[-1]

    async def script(socket: Socket, number: int) -> None:
        async def show(sequence_id: int, row: dict[str, object]) -> None:
            await trio.sleep(lag_s if number > 1 else 0.0)
            await socket.send(type="MARKET_DATA", channel="ticker", symbol="BTC/USD", sequence_id=sequence_id, **row)

        await socket.welcome(epoch=None)
        for _ in range(80 if number > 1 else 0):
            issue()
            await trio.sleep(0.05)
        await socket.subscribed(None)
        async with trio.open_nursery() as nursery:
            for sequence_id in range(1, 601 if number == 1 else 301):
                nursery.start_soon(show, sequence_id, issue())
                await trio.sleep(0.05)

    def rest(_path: str, query: Query) -> Response:
        found = [row for row in rows if str(row["timestamp"]) >= query.get("start", "")]
        return Response(msgspec.json.encode({"prices": found[: int(query["limit"])]}))

    async with Venue(script, rest).feed() as feed:
        await trio.sleep(46.0)
        assert len(feed.of(StreamReset)) == 1
        live = [event for event in feed.data if event.generation > 1 and event.source is Source.LIVE]
        assert len(live) > 200


async def test_accounts_count_anew_after_a_restart_too(autojump_clock: MockClock) -> None:
    async with literal_world() as w, w.feed(TICKER, ORDERS, BALANCE) as feed:
        await feed.until_state(State.CONNECTED)
        for number in range(20):
            w.exchange.place_order("BTC/USD", "buy", 1.0, 1.0)
            w.exchange.set_balance("USD", float(number))
        await trio.sleep(10)
        w.exchange.restart()
        await trio.sleep(10)
        before = len(feed.events)
        for number in range(5):
            w.exchange.place_order("BTC/USD", "sell", 2.0, 7.0)
            w.exchange.set_balance("EUR", float(number))
        await trio.sleep(10)
        later = feed.events[before:]
        assert [event.sequence_id for event in later if isinstance(event, OrderUpdate)] == [1, 2, 3, 4, 5]
        assert [event.balance.free for event in later if isinstance(event, BalanceUpdate)] == [0.0, 1.0, 2.0, 3.0, 4.0]
        resets = Counter(event.channel for event in feed.events if isinstance(event, StreamReset))
        assert resets == {"ticker": 1, "orders": 1, "balance": 1}
        assert feed.controller.state is State.CONNECTED


@pytest.mark.parametrize("again", [5, 2])
async def test_an_account_alone_that_counts_anew_has_restarted_and_one_that_repeats_itself_has_not(
    again: int, autojump_clock: MockClock
) -> None:
    async def script(socket: Socket, number: int) -> None:
        await socket.welcome(epoch=None)
        await socket.subscribed(None, BALANCE)
        for sequence_id in range(1, 6) if number == 1 else range(again, again + 3):
            balance = {"asset": "USD", "free": float(sequence_id)}
            await socket.send(type="BALANCE_UPDATE", sequence_id=sequence_id, balance=balance)
        await trio.sleep(3.0 if number == 1 else 60.0)

    def rest(_path: str, _query: Query) -> Response:
        return Response(msgspec.json.encode({"balances": []}))

    async with Venue(script, rest).feed(BALANCE) as feed:
        await trio.sleep(20.0)
        told = [event.sequence_id for event in feed.events if isinstance(event, BalanceUpdate) and not event.snapshot]
        assert told[:5] == [1, 2, 3, 4, 5]
        if again == 5:
            assert told[5:] == [6, 7]
            assert not feed.of(StreamReset)
        else:
            assert told[5:] == [2, 3, 4]
            assert len(feed.of(StreamReset)) == 1


async def test_a_snapshot_without_an_id_is_told_again_only_when_it_is_news(autojump_clock: MockClock) -> None:
    async with literal_world() as w, w.feed(TICKER, ORDERS) as feed:
        await feed.until_state(State.CONNECTED)
        order = w.exchange.place_order("BTC/USD", "buy", 1.0, 1.0)
        await trio.sleep(1.0)
        w.network.refuse(w.ws_port)
        w.exchange.disconnect()
        before = len(feed.events)

        def polled() -> list[str]:
            return [event.order.status for event in feed.events[before:] if isinstance(event, OrderUpdate)]

        await trio.sleep(15.0)
        assert polled() == ["open"]
        w.exchange.fill_order(order.order_id)
        await trio.sleep(15.0)
        assert polled() == ["open", "filled"]


async def test_a_dead_socket_that_answers_pings_is_found_however_long_history_is(autojump_clock: MockClock) -> None:
    async with literal_world() as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(150.0)
        w.fail(FailuresConfig(pong_only=FailureMode(enabled=True, after_messages=0)))
        await feed.until(lambda: any(move.before is State.SILENT for move in feed.moves))
        verdict = next(move for move in feed.moves if move.before is State.SILENT)
        assert verdict.trigger is Trigger.SILENCE_CONFIRMED


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
