"""What users of go-hyperliquid reported: subscriptions that die one by one."""

import trio
from trio.testing import MockClock

from gapless.controller import Source, State
from gapless.simulator import SymbolSilentMode
from tests.kit import ETHER, SESSION, TICKER, world


async def test_one_dead_symbol_is_subscribed_again_and_costs_the_others_nothing(autojump_clock: MockClock) -> None:
    """go-hyperliquid #111: trades of some symbols stopped for up to twenty minutes while others on the socket went on.

    The connection looked healthy and nothing watched the single subscription: its callback was just not called any
    more.
    """
    dead = SymbolSilentMode(enabled=True, symbols=("ETH/USD",), after_messages=0, until="resubscribe", count=1)
    async with world(rate_per_s=4.0) as w, w.feed(TICKER, ETHER) as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(5.0)
        w.exchange.failures.switch("symbol_silent", dead, SESSION)
        await trio.sleep(0.5)
        died_at = max(event.received_at for event in feed.data if event.symbol == "ETH/USD")
        await feed.until(lambda: Source.POLL in {event.source for event in feed.data if event.symbol == "ETH/USD"})
        helped_at = min(event.received_at for event in feed.data if event.source is Source.POLL)
        assert helped_at - died_at <= 10.0 + 0.2, "what the dead symbol missed is on its way within the window"
        await feed.until(lambda: feed.controller.freshness()[ETHER] < 0.5)
        await trio.sleep(5.0)
        asked = [each.symbol for each in w.exchange.subscriptions]
        assert asked.count("ETH/USD") == 2
        assert asked.count("BTC/USD") == 1
        assert feed.controller.generation == 1
        assert {event.source for event in feed.data if event.symbol == "BTC/USD"} == {Source.LIVE}
        w.assert_contract(feed, TICKER, ETHER, settled=False)
