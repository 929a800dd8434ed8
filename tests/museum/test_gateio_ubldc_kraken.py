"""Gate.io's REST, unicorn-binance-local-depth-cache and Kraken's Go client: what REST knows and the socket does not."""

import trio
from trio.testing import MockClock

from gapless.controller import GapFilled, GapFound, Source, State
from gapless.simulator import SelectMode
from gapless.simulator.failure_modes import StaleReplyMode
from tests.kit import SESSION, world


async def test_gateio_rest_v4_4_a_cached_reply_is_recognised_and_condemns_nothing(autojump_clock: MockClock) -> None:
    """gateio rest-v4 #4: an order book over REST was older than the request that asked for it.

    It came from a cache; who builds on it loses what lies between. Here replies lag 15 ids behind the socket for
    three seconds: they are counted as stale and asked for again, and no id is reported lost on their word.
    """
    async with world() as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        last = w.exchange.last_id("ticker", "BTC/USD")
        w.exchange.failures.switch("stale_reply", StaleReplyMode(enabled=True, behind=15, duration_s=3.0), SESSION)
        w.exchange.failures.switch("drop", SelectMode(enabled=True, ids=(last + 5, last + 6)), SESSION)
        await trio.sleep(2.5)
        assert feed.controller.stats.stale_replies > 0
        assert feed.controller.state is State.RESYNCING
        await feed.until_state(State.CONNECTED)
        await trio.sleep(1.0)
        assert feed.ids(Source.BACKFILL) == [last + 5, last + 6]
        assert feed.lost == []
        w.assert_contract(feed, settled=False)


async def test_ubldc_pr_98_a_snapshot_that_lags_for_half_a_minute_is_no_endless_resync(
    autojump_clock: MockClock,
) -> None:
    """UBLDC (unicorn-binance-local-depth-cache) PR#98: snapshots came from a cache, up to 30 s old.

    No buffered update fitted one, so the buffer was thrown away and all began anew, for ever. Here REST lags half a
    minute behind: what is live goes on to the app, the gap waits, nothing is asked in a frenzy, and then it closes.
    """
    async with world(rate_per_s=5.0, symbols=("BTC/USD",)) as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        last = w.exchange.last_id("ticker", "BTC/USD")
        w.exchange.failures.switch("stale_reply", StaleReplyMode(enabled=True, behind=150, duration_s=30.0), SESSION)
        w.exchange.failures.switch("drop", SelectMode(enabled=True, ids=(last + 5,)), SESSION)
        await feed.until(lambda: bool(feed.of(GapFound)))
        since, live = w.exchange.now(), len(feed.ids(Source.LIVE))
        await trio.sleep(28.0)
        assert len(feed.ids(Source.LIVE)) >= live + 138, "what is live is not held back or thrown away"
        assert feed.controller.generation == 1
        assert w.requests_since(since) <= 60
        await feed.until(lambda: bool(feed.of(GapFilled)), within_s=10.0)
        await feed.until_state(State.CONNECTED)
        assert feed.ids(Source.BACKFILL) == [last + 5]
        assert feed.lost == []
        w.assert_contract(feed, settled=False)


async def test_krakenfx_api_go_36_every_sixth_id_missing_on_the_socket_comes_over_rest(
    autojump_clock: MockClock,
) -> None:
    """krakenfx api-go #36: 17 % of the trade ids never came by the socket, while REST had all of them.

    Of trades with the same time only the first came. Here bursts of one instant lose every sixth message: each of
    them is filled by its id, several to a request, within the budget of REST, and the socket is left alone.
    """
    async with world(rate_per_s=0) as w, w.feed() as feed:
        await trio.sleep(0.5)
        w.publish(5)
        await feed.until_state(State.CONNECTED)
        w.exchange.failures.switch("drop", SelectMode(enabled=True, every_nth=6), SESSION)
        since = w.exchange.now()
        for _ in range(40):
            w.publish(6)
            await trio.sleep(0.1)
        w.exchange.failures.switch("drop", None, SESSION)
        w.publish()
        await trio.sleep(1.0)
        await feed.until_state(State.CONNECTED)
        backfilled = feed.ids(Source.BACKFILL)
        assert len(backfilled) == 40
        assert len(feed.data) == 246
        assert feed.lost == []
        assert feed.controller.generation == 1
        asked = [each.time_s for each in w.exchange.requests if each.time_s >= since and "/prices" in each.path]
        assert len(asked) <= 40
        assert all(later - earlier >= 0.999 for earlier, later in zip(asked, asked[10:], strict=False))
        w.assert_contract(feed)
