"""Hummingbot and nefertiti: what a client owes a host that asks for patience, and what ignoring it costs."""

from itertools import pairwise

import trio
from starlette.responses import Response
from trio.testing import MockClock

from gapless.controller import OrderUpdate, Source, State, Stream
from gapless.simulator import RateLimitMode, SelectMode
from tests.kit import ETHER, SESSION, TICKER, world
from tests.scripted import Query, Socket, Venue, history

ORDERS = Stream("orders", "*")


class StrictHost:
    """Answers 429 past its limit in ten seconds; whoever asks again in the five seconds it wants would be banned."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.times: list[float] = []
        self.heed_until = 0.0
        self.limited = 0
        self.banned = 0

    def answer(self, now: float) -> Response | None:
        if now < self.heed_until:
            # What left before the 429 could arrive is no offence.
            self.banned += now > self.heed_until - 4.9
            return Response(b"{}", 429, {"Retry-After": "5"})
        self.times = [*(each for each in self.times if each > now - 10.0), now]
        if len(self.times) > self.limit:
            self.limited += 1
            self.heed_until = now + 5.0
            self.times = []
            return Response(b"{}", 429, {"Retry-After": "5"})
        return None


async def test_hummingbot_1291_a_429_is_heeded_by_everything_so_that_no_ban_follows(autojump_clock: MockClock) -> None:
    """hummingbot #1291: Binance answered 429; the bot lost its connection, came back, and asked just as before.

    The 418 of a banned address was the end of it. The lesson: one 429 stops all requests to the host, whoever makes
    them. Here polls, snapshots, gap fills and the app's own question share a host that bans whoever asks too soon.
    """
    host, issued = StrictHost(limit=6), 0

    async def script(socket: Socket, number: int) -> None:
        nonlocal issued
        if number > 1:
            await trio.sleep_forever()
        await socket.welcome()
        await socket.subscribed(issued, TICKER, ETHER)
        await socket.subscribed(0, ORDERS)
        for _ in range(8):
            issued += 2
            await socket.data(issued, stream=TICKER)
            await socket.data(issued, stream=ETHER, every_s=0.5)

    def rest(path: str, query: Query) -> Response:
        return host.answer(trio.current_time()) or history(lambda: issued)(path, query)

    venue = Venue(script, rest)
    async with venue.feed(TICKER, ETHER, ORDERS, reconnect_max_attempts=None) as feed, trio.open_nursery() as nursery:
        await feed.until_state(State.REST_FALLBACK)
        for _ in range(3):
            nursery.start_soon(feed.controller.price_history, "BTC/USD")
        await trio.sleep(60.0)
        assert host.limited >= 2, "the host never complained: the test shows nothing"
        assert host.banned == 0
        nursery.cancel_scope.cancel()
    assert feed.lost == []


async def test_nefertiti_55_a_ban_is_sat_out_in_silence(autojump_clock: MockClock) -> None:
    """nefertiti #55: the bot went on hammering the exchange while it was banned.

    A ban that is ignored grows. Here a 418 asks for 30 s: no request leaves in that time, although a gap is open, the
    socket falls silent, an account wants its snapshot, and the app asks for history. Then everything heals.
    """
    async with (
        world(rate_per_s=2.0, symbols=("BTC/USD",)) as w,
        w.feed(TICKER, ORDERS) as feed,
        trio.open_nursery() as nursery,
    ):
        await feed.until_state(State.CONNECTED)
        w.exchange.place_order("BTC/USD", "buy", 1.0, 50_000.0)
        last = w.exchange.last_id("ticker", "BTC/USD")
        ban = RateLimitMode(enabled=True, status=418, retry_after_s=30, count=1)
        w.exchange.failures.switch("rate_limited", ban, SESSION)
        w.exchange.failures.switch("drop", SelectMode(enabled=True, ids=(last + 3,)), SESSION)
        await feed.until(lambda: bool(feed.controller.open_gaps))
        await trio.sleep(1.0)
        w.exchange.go_silent(SESSION)
        history_rows = trio.Event()

        async def ask() -> None:
            await feed.controller.price_history("BTC/USD")
            history_rows.set()

        nursery.start_soon(ask)
        await trio.sleep(60.0)
        statuses = [each.status for each in w.exchange.requests]
        assert statuses.count(418) == 1
        banned = statuses.index(418)
        times = [each.time_s for each in w.exchange.requests]
        assert times[banned + 1] - times[banned] >= 30.0
        assert all(later - earlier < 30.0 for earlier, later in pairwise(times[banned + 1 :]))
        assert history_rows.is_set()
        assert feed.controller.state is State.CONNECTED
        assert last + 3 in feed.ids(Source.BACKFILL) + feed.ids(Source.POLL)
        assert any(isinstance(event, OrderUpdate) for event in feed.events)
        assert feed.lost == []
        w.assert_contract(feed, settled=False)
