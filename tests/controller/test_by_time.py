"""Streams that only times tell apart: the literal form, whose rows have no ids, and ids that tell nothing."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio
from starlette.responses import Response
from trio.testing import MockClock

from gapless.controller import (
    ContinuityLost,
    GapFound,
    MarketData,
    NetworkConfig,
    Source,
    State,
    Stream,
    Trigger,
    open_controller,
)
from gapless.controller.exchange import SequenceRule
from gapless.controller.exchanges import ReferenceExchange
from gapless.simulator import ExchangeSimulator, FailuresConfig, SimulatorConfig, serve_exchange
from gapless.simulator.failure_modes import SelectMode
from gapless.simulator.network import VirtualNetwork
from tests.kit import TICKER, Feed, World, virtual_wall_clock
from tests.scripted import Query, Socket, Venue, timestamp

# -- ids that tell nothing --------------------------------------------------------------------------------------------


class Unsequenced(ReferenceExchange):
    """A venue whose ids are no sequence."""

    def sequence_rule(self, stream: Stream) -> SequenceRule:  # noqa: ARG002
        return SequenceRule.UNSEQUENCED


def unsequenced(ws_url: str, rest_url: str) -> Unsequenced:
    return Unsequenced(ws_url=ws_url, rest_url=rest_url, session_id="test-session")


class Tape:
    """What a venue has issued: each datum with its time and an id."""

    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []
        self.queries: list[Query] = []

    def issue(self) -> dict[str, object]:
        number = len(self.rows) + 1
        row = {"timestamp": timestamp(), "price": float(number), "sequence_id": number}
        self.rows.append(row)
        return row

    async def tick(self, socket: Socket, count: int) -> None:
        """Ten a second."""
        for _ in range(count):
            await socket.send(type="MARKET_DATA", channel="ticker", symbol="BTC/USD", **self.issue())
            await trio.sleep(0.1)

    def rest(self, _path: str, query: Query) -> Response:
        self.queries.append(query)
        low, high = int(query.get("start_seq", 0)), int(query.get("end_seq", len(self.rows)))
        rows = [
            row
            for number, row in enumerate(self.rows, 1)
            if str(row["timestamp"]) >= query.get("start", "") and low <= number <= high
        ]
        last = {"first_seq": 1, "last_seq": len(self.rows), "epoch": "e-1"}
        return Response(msgspec.json.encode({"prices": rows[: int(query["limit"])], **last}))


def polled(feed: Feed) -> list[int]:
    return [number or 0 for number in feed.ids(Source.POLL)]


@pytest.mark.parametrize("mark", [True, False])
async def test_quiet_spells_repeat_nothing_and_are_no_death(mark: bool, autojump_clock: MockClock) -> None:
    tape = Tape()

    async def script(socket: Socket, _number: int) -> None:
        await socket.welcome()
        await socket.subscribed(len(tape.rows) if mark else None)
        for _ in range(3):
            await tape.tick(socket, 40)
            await trio.sleep(15.0)
        await trio.sleep_forever()

    async with Venue(script, tape.rest).feed(exchange=unsequenced) as feed:
        await trio.sleep(75.0)
        assert feed.ids() == list(range(1, 121))
        assert polled(feed) == []
        triggers = Counter(move.trigger for move in feed.moves)
        assert triggers[Trigger.MARKET_QUIET] >= 3
        assert Trigger.SILENCE_CONFIRMED not in triggers
        assert not any("start_seq" in query for query in tape.queries)


@pytest.mark.parametrize("mark", [True, False])
async def test_what_an_outage_missed_is_polled_once_and_a_quiet_market_after_it_is_no_death(
    mark: bool, autojump_clock: MockClock
) -> None:
    tape = Tape()

    async def script(socket: Socket, number: int) -> None:
        if number == 2:
            for _ in range(5):
                tape.issue()
                await trio.sleep(0.3)
            return
        await socket.welcome()
        await socket.subscribed(len(tape.rows) if mark else None)
        if number == 1:
            await tape.tick(socket, 60)
            return
        await trio.sleep_forever()

    async with Venue(script, tape.rest).feed(exchange=unsequenced) as feed:
        await trio.sleep(60.0)
        assert feed.ids() == list(range(1, 66))
        assert polled(feed) == list(range(61, 66))
        assert not feed.of(GapFound)
        assert not feed.lost
        assert feed.controller.generation == 3
        assert feed.controller.open_gaps == {}


@pytest.mark.parametrize("shown", [0, 20])
async def test_a_socket_that_shows_no_more_of_what_rest_has_is_dead(shown: int, autojump_clock: MockClock) -> None:
    tape = Tape()

    async def script(socket: Socket, number: int) -> None:
        await socket.welcome()
        await socket.subscribed(None)
        await tape.tick(socket, shown)
        while number == 1:
            tape.issue()
            await trio.sleep(0.1)
        await tape.tick(socket, 1_000)

    async with Venue(script, tape.rest).feed(exchange=unsequenced) as feed:
        await feed.until(lambda: feed.controller.generation == 2)
        confirmed = next(move for move in feed.moves if move.trigger is Trigger.SILENCE_CONFIRMED)
        assert "has data of" in confirmed.reason
        await trio.sleep(5.0)
        assert feed.controller.state is State.CONNECTED
        assert {*range(shown + 1, 60)} <= {*polled(feed)}
        assert repeated(feed) == []


async def test_what_rest_told_first_a_slow_socket_does_not_repeat(autojump_clock: MockClock) -> None:
    tape = Tape()

    async def script(socket: Socket, _number: int) -> None:
        await socket.welcome()
        await socket.subscribed(None)
        await tape.tick(socket, 20)
        await trio.sleep(9.8)
        slow = [tape.issue() for _ in range(5)]
        await trio.sleep(0.2)
        for row in [*slow, slow[0]]:
            await socket.send(type="MARKET_DATA", channel="ticker", symbol="BTC/USD", **row)
        await tape.tick(socket, 20)
        await trio.sleep_forever()

    async with Venue(script, tape.rest).feed(exchange=unsequenced) as feed:
        await trio.sleep(15.0)
        assert polled(feed) == list(range(21, 26))
        assert feed.ids(Source.LIVE) == [*range(1, 21), 21, *range(26, 46)], "what the socket says twice comes twice"
        assert feed.controller.stats.duplicates == 5
        assert feed.controller.generation == 1


async def test_ids_that_tell_nothing_report_nothing_lost_when_only_the_latest_is_kept(
    autojump_clock: MockClock,
) -> None:
    """The last to come is the latest, whatever its id."""
    burst = trio.Event()

    async def script(socket: Socket, _number: int) -> None:
        await socket.welcome()
        await socket.subscribed(None)
        await burst.wait()
        await socket.data(*range(1_000, 0, -1))
        await trio.sleep_forever()

    venue = Venue(script, Tape().rest)
    async with (
        venue.feed(exchange=unsequenced),
        open_controller(
            ws_url=venue.ws_url,
            rest_url=venue.rest_url,
            streams=[TICKER],
            config=NetworkConfig(buffer_size=100, overflow="conflate"),
            exchange=unsequenced(venue.ws_url, venue.rest_url),
            wall_clock=virtual_wall_clock,
        ) as controller,
    ):
        burst.set()
        await trio.sleep(5.0)
        events = await anext(controller.batches())
        ids = [event.sequence_id for event in events if isinstance(event, MarketData)]
        assert ids == list(range(len(ids), 0, -1))
        assert not any(isinstance(event, ContinuityLost) for event in events)


# -- the literal form -------------------------------------------------------------------------------------------------


@asynccontextmanager
async def literal_world(*, rate_per_s: float = 20.0) -> AsyncIterator[World]:
    """An exchange whose REST rows have no ids, and nothing about them."""
    network = VirtualNetwork(seed=1)
    config = SimulatorConfig(literal=True, channels=("ticker",), symbols=("BTC/USD",), rate_per_s=rate_per_s)
    exchange = ExchangeSimulator(config, wall_clock=virtual_wall_clock)
    with network.installed():
        async with serve_exchange(exchange) as endpoints:
            yield World(network, exchange, endpoints.ws_url, endpoints.rest_url)


def never_seen(w: World, feed: Feed) -> list[int]:
    """Ids of what was issued between the first and the last datum that the app has."""
    seen = {event.timestamp for event in feed.data}
    issued = w.exchange.get_price_history("BTC/USD", limit=1_000)
    return [
        point.sequence_id or 0
        for point in issued
        if min(seen) <= point.timestamp <= max(seen) and point.timestamp not in seen
    ]


def repeated(feed: Feed) -> list[str]:
    return [at for at, times in Counter(event.timestamp for event in feed.data).items() if times > 1]


async def test_a_poll_pages_by_time_until_it_has_caught_up(autojump_clock: MockClock) -> None:
    async with literal_world() as w, w.feed(price_history_limit=10) as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(2.0)
        w.network.refuse(w.ws_port)
        w.exchange.disconnect()
        await trio.sleep(20.0)
        assert len(feed.ids(Source.POLL)) > 0.85 * 20.0 * 20.0
        w.network.accept(w.ws_port)
        await feed.until_state(State.CONNECTED)
        assert never_seen(w, feed) == []
        assert repeated(feed) == []


@pytest.mark.parametrize("settings", [{}, {"reorder_window": 0.5}, {"buffer_size": 10}])
async def test_a_fill_pages_by_time_through_its_hole(settings: dict[str, Any], autojump_clock: MockClock) -> None:
    """Forty ids, pages of ten, no outage: nothing else asks for them."""
    async with literal_world() as w, w.feed(price_history_limit=10, **settings) as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(2.0)
        w.fail(FailuresConfig(drop=SelectMode(enabled=True, ids=tuple(range(60, 100)))))
        await trio.sleep(10.0)
        assert never_seen(w, feed) == []
        assert repeated(feed) == []
        assert [(lost.start_seq, lost.end_seq, lost.reason) for lost in feed.lost] == [(60, 99, "unverifiable")]
        assert feed.controller.state is State.CONNECTED


class LiteralTape(Tape):
    """Over REST nothing but rows, and they have no ids; ``refused`` fill requests fail, counted from 0."""

    def __init__(self, *, refused: int = -1) -> None:
        super().__init__()
        self.refused = refused
        self.fills: list[str] = []
        """Where each request for a hole began."""

    def rest(self, _path: str, query: Query) -> Response:
        if "end_seq" in query and "start" in query:
            self.fills.append(query["start"])
            if len(self.fills) - 1 == self.refused:
                return Response(status_code=503)
        rows = [row for row in self.rows if query.get("start", "") <= str(row["timestamp"]) <= query.get("end", "~")]
        bare = [{"timestamp": row["timestamp"], "price": row["price"]} for row in rows]
        return Response(msgspec.json.encode({"prices": bare[: int(query["limit"])]}))

    async def serve(self, socket: Socket, hidden: int, every_s: float) -> None:
        """Twenty data, a hole, and more data."""
        await socket.welcome(epoch=None)
        await socket.subscribed(None)
        await self.tick(socket, 20)
        for _ in range(hidden):
            self.issue()
            await trio.sleep(every_s)
        await self.tick(socket, 200)


async def test_a_fill_that_was_cut_short_goes_on_where_it_was(autojump_clock: MockClock) -> None:
    tape = LiteralTape(refused=2)

    async def script(socket: Socket, _number: int) -> None:
        await tape.serve(socket, 40, 0.01)

    async with Venue(script, tape.rest).feed(price_history_limit=10, max_retries=0) as feed:
        await trio.sleep(10.0)
        assert {event.timestamp for event in feed.data} == {row["timestamp"] for row in tape.rows[: len(feed.data)]}
        assert repeated(feed) == []
        assert tape.fills[2] == tape.fills[3], "and not from the beginning"
        assert tape.fills == sorted(tape.fills)
        assert [(lost.start_seq, lost.end_seq, lost.reason) for lost in feed.lost] == [(21, 60, "unverifiable")]


async def test_more_rows_of_one_instant_than_a_page_holds_end_the_fill(autojump_clock: MockClock) -> None:
    """Beyond that instant no time leads: the hole is reported, and no request is made in circles."""
    tape = LiteralTape()

    async def script(socket: Socket, _number: int) -> None:
        await tape.serve(socket, 15, 0.0)

    async with Venue(script, tape.rest).feed(price_history_limit=10) as feed:
        await trio.sleep(10.0)
        assert len(feed.ids(Source.BACKFILL)) == 10
        assert [(lost.start_seq, lost.end_seq, lost.reason) for lost in feed.lost] == [(21, 35, "unverifiable")]
        assert len(tape.fills) == 2
        assert feed.controller.state is State.CONNECTED
