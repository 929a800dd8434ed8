"""A real controller on a simulated venue in virtual time: trouble for as long as there is a market, then judgement.

What happened to the market is the simulator's record, or the recorded file itself; what reached the app is compared
with it trade for trade: id, exact texts, side and time.
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from random import Random
from typing import Final

import httpx
import trio

from gapless.controller import (
    AnyEvent,
    ConnectionController,
    ContinuityLost,
    NetworkConfig,
    Source,
    State,
    Stream,
    Trade,
    open_controller,
)
from gapless.controller.exchange import Exchange
from gapless.simulator import serve_exchange
from gapless.simulator.failure_modes import (
    CorruptMode,
    DelayMode,
    FailureMode,
    Mode,
    RateLimitMode,
    ReorderMode,
    RestMode,
    SelectMode,
    ServerErrorMode,
    SlowReplyMode,
    StaleReplyMode,
    WrongReplyMode,
    WrongTypesMode,
)
from gapless.simulator.network import VirtualNetwork
from gapless.simulator.serve import Endpoints
from gapless.simulator.testkit import virtual_wall_clock
from gapless.simulator.venues import VenueSimulator, VenueTrade

LATENCY_S: Final = 0.01
SETTLED_WITHIN_S: Final = 600.0
"""Virtual seconds after the trouble: the longest backoff, a ban, and a verified silence."""
LOOK_EVERY_S: Final = 0.1
QUIET_S: Final = 20.0
"""Virtual seconds of a quiet market in which nothing more may come."""

REAL_QUIET_S: Final = 1.0

CONFIG: Final = NetworkConfig(ordering="sequence", ws_idle_timeout=2.0, reconnect_max_attempts=None, max_retries=1)

TROUBLES: Final[dict[str, Callable[[Random], Mode]]] = {
    "silent_connection": lambda r: FailureMode(enabled=True, after_messages=r.randint(0, 30)),
    "pong_only": lambda r: FailureMode(enabled=True, after_messages=r.randint(0, 30)),
    "drop": lambda r: SelectMode(enabled=True, probability=r.uniform(0.01, 0.3)),
    "duplicate": lambda r: SelectMode(enabled=True, probability=r.uniform(0.01, 0.3)),
    "reorder": lambda r: ReorderMode(
        enabled=True, probability=r.uniform(0.01, 0.3), distance=r.randint(1, 5), hold_s=0.5
    ),
    "corrupt": lambda r: CorruptMode(
        enabled=True, probability=r.uniform(0.01, 0.1), how=("truncated", "not_json", "empty", "array", "scalar")
    ),
    "wrong_types": lambda r: WrongTypesMode(enabled=True, probability=r.uniform(0.01, 0.1)),
    "delay": lambda r: DelayMode(enabled=True, delay_s=r.uniform(0.05, 0.5), jitter_s=0.1),
    "disconnect": lambda r: FailureMode(enabled=True, after_messages=r.randint(5, 60)),
    "rate_limited": lambda r: RateLimitMode(
        enabled=True,
        probability=0.7,
        status=r.choice((429, 418)),
        retry_after_s=r.choice((1, 2)),
        count=r.randint(1, 3),
    ),
    "server_error": lambda r: ServerErrorMode(enabled=True, probability=0.5, count=r.randint(1, 3)),
    "slow_reply": lambda r: SlowReplyMode(enabled=True, probability=0.5, delay_s=r.uniform(0.1, 1.0)),
    "cut_reply": lambda r: RestMode(enabled=True, probability=0.5, count=r.randint(1, 3)),
    "wrong_reply": lambda r: WrongReplyMode(enabled=True, probability=0.5, count=r.randint(1, 3)),
    "stale_reply": lambda r: StaleReplyMode(enabled=True, probability=0.6, behind=r.randint(1, 200)),
}
"""Every way a venue misbehaves here, by the kind of the failure; how badly, the draw says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """What is tried."""

    simulator: VenueSimulator
    adapter: Callable[[Endpoints], Exchange]
    streams: Sequence[Stream]
    market: Callable[[VenueSimulator], Awaitable[None]]
    """Trades until it returns; whatever the simulator generates by itself must be off."""
    troubles: Sequence[str] = tuple(TROUBLES)
    config: NetworkConfig = CONFIG


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of it."""

    events: list[AnyEvent] = field(default_factory=list)
    issued: dict[Stream, Sequence[VenueTrade]] = field(default_factory=dict)
    state: State | None = None
    injected: Counter[str] = field(default_factory=Counter)
    weights_sent: list[tuple[str, int]] = field(default_factory=list)
    """Path and weight of each request, as the adapter reckons it, when it left."""

    @property
    def trades(self) -> list[Trade]:
        """What reached the app, in its order."""
        return [event for event in self.events if isinstance(event, Trade)]

    @property
    def lost(self) -> list[ContinuityLost]:
        """What was reported lost."""
        return [event for event in self.events if isinstance(event, ContinuityLost)]


async def through_trouble(venue: Venue, seed: int, *, real: bool = False) -> Outcome:
    """Run the market with trouble on top, then heal everything and wait until the app has all of it.

    ``real``: on sockets of the machine and by its clock, instead of a virtual network and virtual time.
    """
    outcome, random = Outcome(), Random(seed)
    network = nullcontext() if real else VirtualNetwork(seed=seed, latency_s=LATENCY_S).installed()
    simulator = venue.simulator
    with network:
        async with serve_exchange(simulator) as endpoints:
            exchange = venue.adapter(endpoints)

            async def note_weight(request: httpx.Request) -> None:
                outcome.weights_sent.append((request.url.path, exchange.weight(request)))
                await trio.lowlevel.checkpoint()

            async with (
                httpx.AsyncClient(event_hooks={"request": [note_weight]}, trust_env=False) as http,
                open_controller(
                    exchange=exchange,
                    streams=venue.streams,
                    config=venue.config,
                    http=http,
                    random=random,
                    wall_clock=time.time if real else virtual_wall_clock,
                ) as controller,
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(_consume, controller, outcome)
                await _until(lambda: bool(simulator.subscriptions), SETTLED_WITHIN_S)
                await trio.sleep(1.0)
                await _market_in_trouble(venue, random, outcome)
                simulator.behave()
                outcome.issued = {stream: simulator.trades(stream.symbol) for stream in venue.streams}
                await _until(lambda: _has_all(controller, outcome), SETTLED_WITHIN_S)
                outcome.state, outcome.injected = controller.state, Counter(simulator.injected)
                await trio.sleep(REAL_QUIET_S if real else QUIET_S)
                nursery.cancel_scope.cancel()
    return outcome


async def _consume(controller: ConnectionController, outcome: Outcome) -> None:
    async for event in controller:
        outcome.events.append(event)


async def _market_in_trouble(venue: Venue, random: Random, outcome: Outcome) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_trouble, venue, random, outcome)
        await venue.market(venue.simulator)
        nursery.cancel_scope.cancel()


async def _trouble(venue: Venue, random: Random, outcome: Outcome) -> None:
    """A few seconds of this and that, again and again; now and then a disconnect or a downtime."""
    # What is dropped before the first trade was seen, a venue without marks never owed.
    await _until(lambda: bool(outcome.trades), SETTLED_WITHIN_S)
    simulator = venue.simulator
    while True:
        kinds = random.sample(venue.troubles, random.randint(1, 4))
        for kind in kinds:
            simulator.failures.switch(kind, TROUBLES[kind](random))
        await trio.sleep(random.uniform(0.5, 4.0))
        simulator.behave()
        roll = random.random()
        if roll < 0.25:
            simulator.disconnect()
        elif roll < 0.35:
            simulator.restart(random.uniform(0.0, 2.0))
        await trio.sleep(random.uniform(0.0, 2.0))


def _has_all(controller: ConnectionController, outcome: Outcome) -> bool:
    newest = {Stream(trade.channel, trade.symbol): trade.sequence_id or 0 for trade in outcome.trades}
    return controller.state is State.CONNECTED and all(
        newest.get(stream, 0) >= trades[-1].number for stream, trades in outcome.issued.items() if trades
    )


async def _until(holds: Callable[[], bool], within_s: float) -> None:
    for _ in range(round(within_s / LOOK_EVERY_S)):
        if holds():
            return
        await trio.sleep(LOOK_EVERY_S)


Said = tuple[int | None, Decimal, Decimal, str | None]
"""Id, price, amount and the taker's side."""


def said(trade: Trade) -> Said:
    """What a trade says, exactly; its time apart."""
    return trade.sequence_id, Decimal(trade.price_text), Decimal(trade.amount_text), trade.side


def happened(trade: VenueTrade) -> Said:
    """The same of what the venue did."""
    return trade.number, Decimal(trade.price), Decimal(trade.amount), trade.side


def assert_trade_for_trade(outcome: Outcome) -> None:
    """Exactly what happened since the first trade that was seen, in its order, and nothing was lost."""
    assert outcome.state is State.CONNECTED
    assert outcome.lost == []
    for stream, issued in outcome.issued.items():
        got = [trade for trade in outcome.trades if Stream(trade.channel, trade.symbol) == stream]
        owed = [trade for trade in issued if got and trade.number >= (got[0].sequence_id or 0)]
        assert [said(trade) for trade in got] == [happened(trade) for trade in owed]
        assert [_unix_ms(trade) for trade in got] == [trade.time_ns // 1_000_000 for trade in owed]
        texts = {trade.number: (trade.price, trade.amount) for trade in owed}
        for trade in got:
            assert (trade.price, trade.amount) == (float(trade.price_text), float(trade.amount_text))
            if trade.source is Source.LIVE:
                # Over REST a venue may write more zeros.
                assert texts[trade.sequence_id or 0] == (trade.price_text, trade.amount_text)


def assert_interruptions_are_filled(outcome: Outcome) -> None:
    """The weaker promise of a venue whose socket leaves ids out.

    What is delivered happened, once, in order. Whatever happened between the last that one socket showed and the first
    that the next one did is there; so is what came after all sockets, up to the end.
    """
    assert outcome.state is State.CONNECTED
    assert outcome.lost == []
    for stream, issued in outcome.issued.items():
        got = [trade for trade in outcome.trades if Stream(trade.channel, trade.symbol) == stream]
        happened_by_id = {trade.number: happened(trade) for trade in issued}
        numbers = [trade.sequence_id or 0 for trade in got]
        assert numbers == sorted(set(numbers))
        assert [said(trade) for trade in got] == [happened_by_id[number] for number in numbers]
        live = [trade for trade in got if trade.source is Source.LIVE]
        for before, after in pairwise(live):
            if before.generation != after.generation:
                between = range((before.sequence_id or 0) + 1, after.sequence_id or 0)
                assert set(between) & set(happened_by_id) <= set(numbers), (before, after)


def _unix_ms(trade: Trade) -> int:
    at = datetime.fromisoformat(trade.timestamp)
    return (at - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)


def assert_weights_agree(outcome: Outcome, simulator: VenueSimulator) -> None:
    """What the adapter reckons for each request is what the venue counts, and the venue's limit was never passed."""
    # What a socket says may cost of the same budget.
    counted = Counter((each.path, each.weight) for each in simulator.weight_log if each.path.startswith("/"))
    sent = Counter(outcome.weights_sent)
    assert counted
    # One that met a closed port left and was never counted.
    assert counted <= sent
    assert all(record.used <= record.limit for record in simulator.weight_log)
    assert not simulator.violations
