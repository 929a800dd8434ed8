"""Apps that are killed at random moments of random trouble, on each venue: what was owed came once, or is reported.

A life is: trade, trouble, an app that reads, stores each event together with the cursor behind it, and falls asleep now
and then, so that data lies unread; its end is a cancellation between any two events. The next one has nothing but the
cursor. In the end there is no trouble, and a reader that keeps up. What a socket without trouble would have shown since
the first cursor must have come once or be reported lost.

A story is worth nothing if there was nothing to lose, so what was at stake at each kill is counted and asserted, too.
"""

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Final

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import AnyEvent, MarketData, Source, State
from gapless.controller.cursor import Cursor, StreamCursor
from tests.controller.resume_kit import (
    MARKETS,
    Place,
    assert_exactly_once_or_lost,
    ids,
    place,
    read,
    stored,
    where,
)

LIVES: Final = 5
SETTLED_S: Final = 60.0
"""Virtual seconds: a backoff, and pages behind a limit of one request a second."""
CURSOR_BYTES_MAX: Final = 8_000

AT_STAKE: Final = {
    "kraken": {"holes", "unread", "unread backfill", "data behind an open hole", "new holes beside resumed ones"},
    "kraken-leaves-out": {"holes", "unread", "unread backfill", "ids left out in what is unread"},
    "binance": {"holes", "unread"},
    "coinbase": {"holes", "unread"},
    "deribit": {"holes", "unread"},
}


class Story:
    """One seed on one venue."""

    def __init__(self, w: Place, seed: int) -> None:
        self.w = w
        self.random = Random(seed)
        self.events: list[AnyEvent] = []
        self.cursor: Cursor | None = None
        self.since: int | None = None
        """The first id that is owed."""
        self.seen: Counter[str] = Counter()
        """What was at stake, how often."""
        self.bytes_most = 0

    async def tell(self) -> None:
        for _ in range(LIVES):
            await self.life()
            await trio.sleep(self.random.choice([0.0, 0.5, 3.0]))
        self.w.rest_fails(False)
        self.w.drop(0.0)
        async with self.w.app(self.cursor) as controller:
            self.events += await read(controller, SETTLED_S)
            assert controller.state is State.CONNECTED
            assert controller.open_gaps == {}
        assert self.since is not None
        assert_exactly_once_or_lost(self.w, self.events, since=self.since)
        assert self.bytes_most < CURSOR_BYTES_MAX

    async def life(self) -> None:
        """One process, until it is killed."""
        r, before = self.random, self.cursor
        settings = {
            "ws_idle_timeout": 3.0,
            "buffer_size": r.choice([30, 1_000, 10_000]),
            "open_intervals_max": r.choice([3, 1_000, 1_000]),
            "ordering": r.choice(["arrival", "arrival", "sequence"]),
            "reorder_window": r.choice([0.0, 0.0, 0.3]),
            "price_history_limit": r.choice([7, 1_000]),
        }
        unread: list[AnyEvent] = []
        with trio.move_on_after(r.uniform(1.0, 15.0)):
            async with self.w.app(before, **settings) as controller:
                try:
                    async for event in controller:
                        # One transaction: the event, and where the app is behind it.
                        self.events.append(event)
                        self.cursor = stored(controller.cursor())
                        await self.trouble()
                finally:
                    # What the kill takes with it; nobody stores it.
                    with trio.CancelScope(shield=True):
                        unread = await read(controller, 0.0)
        if self.cursor is not None:
            self.count(where(self.cursor), [] if before is None else where(before).holes, unread)

    async def trouble(self) -> None:
        """Once in thirty events or so, of each kind."""
        r = self.random
        if r.random() < 0.03:
            self.w.cut()
        if r.random() < 0.03:
            self.w.rest_fails(r.random() < 0.5)
        if r.random() < 0.02 and self.w.counts:
            # Elsewhere nobody can tell, with or without a crash.
            self.w.drop(r.choice([0.0, 0.2]))
        if r.random() < 0.03:
            await trio.sleep(r.uniform(0.5, 8.0))

    def count(
        self, position: StreamCursor, holes_before: Sequence[tuple[int, int]], unread: Sequence[AnyEvent]
    ) -> None:
        """What was at stake at a kill."""
        if self.since is None and position.next_id is not None:
            self.since = min([*ids(self.events), position.next_id])
        assert self.cursor is not None
        self.bytes_most = max(self.bytes_most, len(self.cursor.encode()))
        data = [event for event in unread if isinstance(event, MarketData)]
        live = [event.sequence_id or 0 for event in data if event.source is Source.LIVE]
        at_stake = {
            "holes": bool(position.holes),
            "data behind an open hole": bool(position.holes) and position.timestamp > position.times.holes_since,
            "new holes beside resumed ones": bool(holes_before) and position.holes > list(holes_before),
            "unread": bool(data),
            "unread backfill": any(event.source is Source.BACKFILL for event in data),
            "ids left out in what is unread": len(live) > 1 and live[-1] - live[0] >= len(live),
            "losses that were not read": bool(position.lost),
        }
        self.seen.update(name for name, is_so in at_stake.items() if is_so)


async def told(market: str, seeds: range) -> Counter[str]:
    """The stories of these seeds, and what was at stake in them."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        async with place(MARKETS[market]) as w:
            w.nursery.start_soon(w.trade)
            story = Story(w, seed)
            try:
                await story.tell()
            except AssertionError as error:
                error.add_note(f"{market}, seed {seed}")
                raise
            seen += story.seen
    return seen


@pytest.mark.parametrize("market", MARKETS)
async def test_what_was_owed_came_once_or_is_reported(market: str, autojump_clock: MockClock) -> None:
    seen = await told(market, range(2 if market.startswith("kraken") else 1))
    assert seen.keys() >= AT_STAKE[market], "nothing that could have been lost was at stake"


@pytest.mark.long
@pytest.mark.parametrize("market", MARKETS)
async def test_what_was_owed_came_once_or_is_reported_over_many_seeds(market: str, autojump_clock: MockClock) -> None:
    seen = await told(market, range(2, 50 if market.startswith("kraken") else 20))
    assert seen.keys() >= AT_STAKE[market], "nothing that could have been lost was at stake"
