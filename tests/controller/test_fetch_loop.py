"""Collecting over REST: who is asked first where the budget is short."""

from urllib.parse import parse_qs

import trio
from trio.testing import MockClock

from gapless.controller import State, Stream
from gapless.simulator import FailuresConfig, RefuseMode
from gapless.simulator.network import Direction
from tests.kit import World, world

SYMBOLS = tuple(f"S{number}/USD" for number in range(12))
STREAMS = [Stream("ticker", symbol) for symbol in SYMBOLS]
"""Two more than the budget of one second."""


def asked_for(w: World, since: float = 0.0) -> list[str]:
    """The symbols of the requests. Of those that leave in one instant the network decides which arrives first."""
    return [parse_qs(each.query)["symbol"][0] for each in w.exchange.requests if each.time_s >= since]


async def test_in_a_silence_the_most_recently_active_streams_are_asked_first(autojump_clock: MockClock) -> None:
    """Round after round: the socket is dead and the market quiet, so that the examination takes its ten seconds."""
    async with world(rate_per_s=0, symbols=SYMBOLS) as w, w.feed(*STREAMS) as feed:
        await trio.sleep(1.0)
        for each in reversed(STREAMS):
            w.publish(1, each)
            await trio.sleep(0.05)
        await feed.until_state(State.CONNECTED)
        w.network.black_hole(Direction.BOTH, w.ws_port)
        since = w.exchange.now()
        await feed.until_state(State.SILENT)
        await feed.until_state(State.REST_FALLBACK)
        asked = asked_for(w, since)
        assert len(asked) == 5 * len(STREAMS)
        for at in range(0, len(asked), len(STREAMS)):
            assert set(asked[at + 10 : at + 12]) == set(SYMBOLS[10:]), "S11 was active first, S0 last"


async def test_without_a_socket_it_begins_in_the_same_order(autojump_clock: MockClock) -> None:
    """None has been active yet: then the order is that of the app."""
    failures = FailuresConfig(refuse=RefuseMode(enabled=True))
    async with world(symbols=SYMBOLS, failures=failures) as w, w.feed(*STREAMS):
        await trio.sleep(1.9)
        assert set(list(dict.fromkeys(asked_for(w)))[:9]) <= set(SYMBOLS[:10])
        assert set(asked_for(w)) == set(SYMBOLS)


async def test_a_stream_that_is_desired_while_others_are_begun_is_collected_too(autojump_clock: MockClock) -> None:
    failures = FailuresConfig(refuse=RefuseMode(enabled=True))
    async with world(symbols=SYMBOLS, failures=failures) as w, w.feed(*STREAMS[:6]) as feed:
        for stream in STREAMS[6:]:
            feed.controller.subscribe(stream)
            await trio.lowlevel.checkpoint()
        await trio.sleep(1.9)
        assert set(asked_for(w)) == set(SYMBOLS)
