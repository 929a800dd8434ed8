"""A venue whose REST shows the newest page and nothing else: what is older is reported, not awaited."""

import httpx
from msgspec import structs
from trio.testing import MockClock

from examples.venue_linden import PAGES, LindenExchange, trade
from gapless.controller import State
from gapless.controller.exchange import HistoryPage, HistoryQuery, RestReply
from gapless.controller.exchanges.texts import decoded_reply
from tests.exchanges.linden import OAK
from tests.exchanges.linden_server import LindenServer
from tests.exchanges.test_linden import busy, linden_feed

ROWS = 20


class LatestPage(LindenExchange):
    """Asks for the newest rows, whatever is missing."""

    page_rows_max = ROWS

    def history_request(self, query: HistoryQuery) -> httpx.Request:
        return super().history_request(structs.replace(query, start_seq=None, end_seq=None, limit=ROWS))

    def decode_history(self, query: HistoryQuery, reply: RestReply) -> HistoryPage:
        rows = [trade(query.stream.symbol, row) for row in decoded_reply(PAGES, reply).rows]
        if not rows:
            return HistoryPage(rows=[], last_seq=0)
        wanted = [row for row in rows if (row.sequence_id or 0) >= (query.start_seq or 0)]
        return HistoryPage(rows=wanted, first_seq=rows[0].sequence_id, last_seq=rows[-1].sequence_id)


async def test_what_the_newest_page_holds_is_filled(autojump_clock: MockClock) -> None:
    server = LindenServer()
    async with linden_feed(server, kind=LatestPage) as feed:
        await busy(server, 3)
        server.unsent = {7, 8}
        await busy(server, 5)
        assert sorted(number or 0 for number in feed.ids(stream=OAK)) == list(range(3, 17))
        assert not feed.lost
        assert feed.state is State.CONNECTED


async def test_what_it_holds_no_more_is_reported_and_the_feed_goes_on(autojump_clock: MockClock) -> None:
    server = LindenServer()
    async with linden_feed(server, kind=LatestPage) as feed:
        await busy(server, 3)
        server.unsent = set(range(7, 57))
        await server.trade("OAK-EUR", *["20.00"] * 50)
        await busy(server, 5)
        assert [(lost.start_seq, lost.reason) for lost in feed.lost] == [(7, "evicted")]
        last_lost = feed.lost[0].end_seq or 0
        assert sorted(number or 0 for number in feed.ids(stream=OAK)) == [*range(3, 7), *range(last_lost + 1, 67)]
        assert feed.state is State.CONNECTED
