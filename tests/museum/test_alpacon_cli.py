"""What users of alpacon-cli reported: a backoff that is reset by connections that are worth nothing."""

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import State
from gapless.controller.backoff import ATTEMPT_SPACING_S
from tests.kit import TICKER
from tests.scripted import Socket, Venue, history


@pytest.mark.parametrize("gives", ["nothing", "a first datum"])
async def test_a_connection_that_lasts_no_time_resets_no_backoff(gives: str, autojump_clock: MockClock) -> None:
    """alpacon-cli #394: the reconnect delay fell back to its base after each handshake, however short the connection.

    A server that accepts and closes at once was dialled every second for ever. Here it does so even after an
    acknowledgement and a datum; the pauses grow all the same.
    """
    issued = 0

    async def script(socket: Socket, _number: int) -> None:
        nonlocal issued
        if gives == "nothing":
            return
        await socket.welcome()
        await socket.subscribed(issued)
        issued += 1
        await socket.data(issued)
        await trio.sleep(0.1)

    venue = Venue(script, history(lambda: issued))
    async with venue.feed(TICKER, reconnect_max_attempts=None, rest_fetch_interval=60.0) as feed:
        await trio.sleep(300.0)
        in_the_last = [at for at in venue.dialled_at if at > 120.0]
        assert 2 <= len(in_the_last) <= 18, "ten seconds on average, at least: with a reset it were 180"
        pauses = [move.retry_in_s or 0.0 for move in feed.moved(State.REST_FALLBACK)]
        # The jitter of a first backoff, a second, begins where the spacing of attempts allows the next one.
        assert max(pauses[:2]) <= ATTEMPT_SPACING_S + 1.0
        assert max(pauses) > 15.0
        assert feed.ids() == list(range(1, issued + 1))
