"""What users of openalgo reported: a watchdog that takes a closed market for a dead socket."""

import trio
from trio.testing import MockClock

from gapless.controller import Source, State
from tests.kit import world


async def test_a_closed_market_is_no_stall(autojump_clock: MockClock) -> None:
    """openalgo #1419: outside market hours the feed of one broker looped: no data for 90 s, forced reconnect, again.

    The watchdog knew only the last message; a broker with a heartbeat of its own was spared, one without was not. Here
    the market closes for a quarter of an hour: REST says that there is nothing newer, so the socket stays, and is asked
    about rarely.
    """
    async with world(rate_per_s=0) as w, w.feed() as feed:
        await trio.sleep(0.1)
        w.publish()
        await feed.until_state(State.CONNECTED)
        closed_at = w.exchange.now()
        await trio.sleep(900.0)
        assert State.REST_FALLBACK not in {move.after for move in feed.moves}
        assert len(w.exchange.handshakes) == 1
        assert w.requests_since(closed_at) <= 45, "at most a few a minute"
        w.publish(3)
        await trio.sleep(0.1)
        assert feed.ids(Source.LIVE) == [1, 2, 3, 4], "the market opens, on the same socket"
        assert feed.controller.state is State.CONNECTED
        w.assert_contract(feed)
