"""Where does a stream stand? An adapter may say it with the newest row alone, or with nothing of use."""

from random import Random

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from gapless.controller import ConnectionController, MarketData, State, StreamReset, open_controller
from gapless.controller.cursor import Cursor, StreamCursor
from gapless.controller.exchange import HistoryPage, HistoryQuery, RestReply
from gapless.controller.exchanges import ReferenceExchange
from tests.kit import SESSION, TICKER, World, virtual_wall_clock, world


class NewestRow(ReferenceExchange):
    """Its pages do not say how far the stream is."""

    def decode_history(self, query: HistoryQuery, reply: RestReply) -> HistoryPage:
        page = super().decode_history(query, reply)
        if query.limit == 1 and query.start_seq is None and page.last_seq:
            row = replace(page.rows[-1], sequence_id=page.last_seq)
            return replace(page, rows=[row], first_seq=None, last_seq=None)
        return page


class GoesOnForEver(ReferenceExchange):
    """Asked where the stream stands, it has nothing yet, and more of that."""

    def decode_history(self, query: HistoryQuery, reply: RestReply) -> HistoryPage:
        page = super().decode_history(query, reply)
        if query.limit == 1 and query.start_seq is None:
            return replace(page, rows=[], first_seq=None, last_seq=None, more=True, cursor="on")
        return page


def far_ahead(w: World) -> Cursor:
    """Of another venue, as it turns out."""
    place = StreamCursor(channel=TICKER.channel, symbol=TICKER.symbol, epoch=w.exchange.epoch, next_id=1_000_000)
    return Cursor(streams=[place], epoch=w.exchange.epoch)


async def read_for(seconds: float, adapter: type[ReferenceExchange]) -> tuple[State, list[int]]:
    """From a cursor that does not fit: the state in the end, and the ids since the count began anew."""
    ids: list[int] = []
    async with world(rate_per_s=5) as w:
        exchange = adapter(ws_url=w.ws_url, rest_url=w.rest_url, session_id=SESSION)
        async with open_controller(
            exchange=exchange,
            streams=[TICKER],
            random=Random(1),
            wall_clock=virtual_wall_clock,
            boot_clock=trio.current_time,
            resume=far_ahead(w),
        ) as controller:
            with trio.move_on_after(seconds):
                await _read(controller, ids)
            return controller.state, ids


async def _read(controller: ConnectionController, ids: list[int]) -> None:
    async for event in controller:
        if isinstance(event, StreamReset):
            ids.clear()
        elif isinstance(event, MarketData):
            ids.append(event.sequence_id or 0)


@pytest.mark.parametrize("adapter", [ReferenceExchange, NewestRow])
async def test_the_newest_row_denies_a_cursor_that_does_not_fit(
    adapter: type[ReferenceExchange], autojump_clock: MockClock
) -> None:
    state, ids = await read_for(120, adapter)
    assert state is State.CONNECTED
    assert sorted(ids) == list(range(min(ids), max(ids) + 1))
    assert len(ids) > 300


async def test_pages_that_go_on_without_a_word_of_it_end_nothing(autojump_clock: MockClock) -> None:
    state, ids = await read_for(120, GoesOnForEver)
    assert (state, ids) == (State.RESYNCING, [])
