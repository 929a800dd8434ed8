"""A stream that the venue rejects: said once a generation, asked for with the next, and no burden for the others."""

import trio
from trio.testing import MockClock

from gapless.controller import State, Stream, StreamRejected
from gapless.simulator import FailuresConfig, RejectMode
from tests.kit import ETHER, TICKER, Feed, world


def rejections(feed: Feed) -> list[tuple[str, str]]:
    return [(event.symbol, event.code) for event in feed.events if isinstance(event, StreamRejected)]


async def test_one_that_does_not_exist_is_asked_for_with_each_generation(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed(TICKER, Stream("ticker", "NO/SUCH")) as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(6)
        w.exchange.disconnect()
        await trio.sleep(10)
        assert feed.controller.state is State.CONNECTED
        assert rejections(feed) == [("NO/SUCH", "unknown_symbol")] * 2
        w.assert_contract(feed, settled=False)


async def test_one_that_is_taken_the_next_time_is_owed_from_then_on(autojump_clock: MockClock) -> None:
    failures = FailuresConfig(reject=RejectMode(enabled=True, symbols=("ETH/USD",), count=1))
    async with world(failures=failures) as w, w.feed(TICKER, ETHER) as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(6)
        assert feed.ids(stream=ETHER) == []
        w.exchange.disconnect()
        await trio.sleep(10)
        assert rejections(feed) == [("ETH/USD", "too_many_streams")]
        assert len(feed.ids(stream=ETHER)) > 80
        w.assert_contract(feed, TICKER, ETHER, settled=False)
