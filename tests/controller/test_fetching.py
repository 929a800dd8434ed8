"""How REST is shared out within one controller: round robin over the streams, and one fill of a stream at a time."""

from collections import Counter
from itertools import pairwise
from urllib.parse import parse_qs

from trio import sleep
from trio.testing import MockClock

from gapless.controller import State, Stream
from gapless.simulator import FailuresConfig, RefuseMode, SelectMode, SlowReplyMode
from tests.kit import ETHER, TICKER, world


async def test_with_more_streams_than_the_budget_allows_each_has_its_turn(autojump_clock: MockClock) -> None:
    """Thirty streams want to be polled every 2 s, 15 requests a second where 5 are allowed: each has one in 6.6 s."""
    symbols = tuple(f"S{number}/USD" for number in range(30))
    streams = [Stream("ticker", symbol) for symbol in symbols]
    settings = {"rate_limit_requests": 5, "reconnect_max_attempts": None}
    refused = FailuresConfig(refuse=RefuseMode(enabled=True))
    async with world(rate_per_s=0.2, symbols=symbols, failures=refused) as w, w.feed(*streams, **settings):  # type: ignore[arg-type]
        await sleep(10)
        since = w.exchange.now()
        await sleep(20)
        asked = Counter(parse_qs(each.query)["symbol"][0] for each in w.exchange.requests if each.time_s >= since)
        assert set(asked) == set(symbols)
        assert sum(asked.values()) > 80, "the budget was not used"
        assert max(asked.values()) - min(asked.values()) <= 1


async def test_a_stream_has_one_fill_in_flight_however_many_gaps_it_has(autojump_clock: MockClock) -> None:
    """Every third message is lost and each reply takes a second: gaps are found faster than they are filled."""
    failures = FailuresConfig(
        drop=SelectMode(enabled=True, every_nth=3), slow_reply=SlowReplyMode(enabled=True, delay_s=1.0)
    )
    async with world() as w, w.feed(TICKER, ETHER) as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(failures)
        since = w.exchange.now()
        await sleep(15)
        for symbol in ("BTC", "ETH"):
            fills = [
                each.time_s
                for each in w.exchange.requests
                if each.time_s >= since and "end_seq" in each.query and symbol in each.query
            ]
            assert len(fills) > 8
            assert min(later - earlier for earlier, later in pairwise(fills)) >= 1.0
        w.fail(FailuresConfig())
        await feed.until_state(State.CONNECTED)
        w.assert_contract(feed, TICKER, ETHER, settled=False)
