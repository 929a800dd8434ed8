"""Fifty streams that miss something: as few requests as the format allows, inside the budget, as docs/rest.md says."""

import trio
from trio.testing import MockClock

from gapless.controller import GapFound, State, Stream
from gapless.simulator import FailuresConfig, SelectMode
from tests.kit import world

SYMBOLS = tuple(f"S{number}/USD" for number in range(50))
STREAMS = [Stream("ticker", symbol) for symbol in SYMBOLS]


async def test_all_gaps_of_a_stream_are_one_request(autojump_clock: MockClock) -> None:
    """REST is unreachable while frames are lost, so that the gaps gather."""
    async with world(rate_per_s=2.0, symbols=SYMBOLS) as w, w.feed(*STREAMS) as feed:
        await feed.until_state(State.CONNECTED)
        w.network.black_hole(port=w.rest_port)
        w.fail(FailuresConfig(drop=SelectMode(enabled=True, probability=0.2)))
        await trio.sleep(20)
        w.fail(FailuresConfig())
        w.network.heal()
        w.network.reset(w.ws_port)
        since = w.exchange.now()
        await feed.until_whole(within_s=60)
        feed.assert_contract(*STREAMS, settled=False)
        asked = [each for each in w.exchange.requests if each.time_s >= since]
        assert len(feed.of(GapFound)) > 4 * len(STREAMS)
        assert len(asked) <= 1.2 * len(STREAMS)
        for first, tenth in zip(asked, asked[10:], strict=False):
            assert tenth.time_s - first.time_s >= 1.0, "ten requests a second"
