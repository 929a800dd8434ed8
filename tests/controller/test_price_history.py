"""``price_history``: pages put together, by id or by time, outside the ledger."""

from datetime import UTC, datetime, timedelta

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import ConfigurationError, InvalidReplyError, RequestFailedError, State
from gapless.controller.exchange import HistoryPage, HistoryQuery, HistoryRow
from gapless.controller.price_history import price_history
from gapless.simulator import FailuresConfig, ServerErrorMode
from tests.kit import TICKER, virtual_wall_clock, world


class Literal:
    """A venue that knows times alone, with several rows of one instant."""

    def __init__(self, instants: list[int], *, epoch: str | None = None) -> None:
        self.rows = [
            HistoryRow(timestamp=f"2026-01-01T00:00:{at:02}Z", price=float(number))
            for number, at in enumerate(instants)
        ]
        self.epoch = epoch
        self.asked: list[HistoryQuery] = []

    async def fetch(self, query: HistoryQuery) -> HistoryPage:
        self.asked.append(query)
        rows = [row for row in self.rows if query.start is None or row.timestamp >= query.start]
        return HistoryPage(rows=rows[: query.limit])


async def test_all_rows_of_a_range_come_once_over_many_pages(autojump_clock: MockClock) -> None:
    async with world(rate_per_s=20.0) as w, w.feed(price_history_limit=50) as feed:
        await trio.sleep(30.0)
        before = len(feed.data)
        rows = await feed.controller.price_history("ETH/USD")
        assert [row.sequence_id for row in rows] == list(range(1, len(rows) + 1))
        assert len(rows) >= 590
        assert len(await feed.controller.price_history("ETH/USD", limit=120)) == 120
        assert len(await feed.controller.price_history("BTC/USD", limit=3)) == 3
        middle = datetime.fromtimestamp(virtual_wall_clock() - 10.0, UTC)
        some = await feed.controller.price_history("ETH/USD", middle, (middle + timedelta(seconds=5)).isoformat())
        assert 95 <= len(some) <= 105
        await trio.sleep(1.0)
        assert len(feed.data) > before
        w.assert_contract(feed, settled=False)


async def test_paging_by_time_repeats_the_last_instant_and_drops_what_it_has(autojump_clock: MockClock) -> None:
    venue = Literal([0, 1, 1, 1, 2, 3, 3, 4])
    rows = await price_history(venue.fetch, TICKER, start=None, end=None, limit=None, page_rows=4)
    assert rows == venue.rows
    starts = [query.start for query in venue.asked]
    assert starts == [None, *(f"2026-01-01T00:00:0{at}Z" for at in (1, 2, 4))]


async def test_ids_that_tell_nothing_do_not_lead_from_page_to_page(autojump_clock: MockClock) -> None:
    venue = Literal([0, 1, 1, 1, 2, 3, 3, 4])
    venue.rows = [
        HistoryRow(timestamp=row.timestamp, price=row.price, sequence_id=100 - number)
        for number, row in enumerate(venue.rows)
    ]
    rows = await price_history(venue.fetch, TICKER, start=None, end=None, limit=None, page_rows=4, by_time=True)
    assert rows == venue.rows
    assert {query.start_seq for query in venue.asked} == {None}


async def test_more_rows_of_one_instant_than_a_page_holds_is_an_error_not_a_loop(autojump_clock: MockClock) -> None:
    venue = Literal([0, 1, 1, 1, 1, 1, 2])
    with pytest.raises(InvalidReplyError, match="a page of 4 rows holds one instant, 2026-01-01T00:00:01Z, alone"):
        await price_history(venue.fetch, TICKER, start=None, end=None, limit=None, page_rows=4)


async def test_an_epoch_that_changes_between_two_pages_is_said(autojump_clock: MockClock) -> None:
    epochs = iter(["e-1", "e-2"])

    async def fetch(query: HistoryQuery) -> HistoryPage:
        first = query.start_seq or 1
        rows = [
            HistoryRow(timestamp="2026-01-01T00:00:00Z", price=1.0, sequence_id=first + number)
            for number in range(query.limit)
        ]
        return HistoryPage(rows=rows, epoch=next(epochs))

    with pytest.raises(InvalidReplyError, match="from epoch e-1 to e-2 between two pages"):
        await price_history(fetch, TICKER, start=None, end=None, limit=None, page_rows=4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start": "yesterday"}, "start = 'yesterday' is not allowed: expected RFC 3339"),
        ({"end": datetime(2026, 1, 1)}, "expected a datetime with a time zone"),  # noqa: DTZ001
        ({"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}, "lies after end"),
        ({"limit": 0}, "limit = 0 is not allowed: expected 1 to 1000000 rows, or None for all"),
        ({"channel": "orders"}, r"channel orders has the symbol \*"),
    ],
)
async def test_arguments_that_cannot_be_meant_are_refused(
    arguments: dict[str, object], message: str, autojump_clock: MockClock
) -> None:
    async with world() as w, w.feed() as feed:
        with pytest.raises(ConfigurationError, match=message):
            await feed.controller.price_history("BTC/USD", **arguments)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_what_the_venue_refuses_reaches_the_caller_and_nobody_else(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed(max_retries=1) as feed:
        await feed.until_state(State.CONNECTED)
        with pytest.raises(RequestFailedError, match="HTTP 404"):
            await feed.controller.price_history("XXX")
        w.fail(FailuresConfig(server_error=ServerErrorMode(enabled=True)))
        with pytest.raises(RequestFailedError, match="HTTP 503"):
            await feed.controller.price_history("BTC/USD")
        assert feed.controller.state is State.CONNECTED
