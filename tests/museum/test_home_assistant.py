"""What users of the Home Assistant nodes for Node-RED reported: a handshake that nobody ends."""

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import Source, State
from gapless.simulator import FailureMode, FailuresConfig
from gapless.simulator.failure_modes import Mode
from tests.kit import world

HANGS = {
    "before the upgrade": FailuresConfig(stalled_handshake=Mode(enabled=True, count=1)),
    "before WELCOME": FailuresConfig(silent_connection=FailureMode(enabled=True, after_messages=0, count=1)),
    "before SUBSCRIBED": FailuresConfig(silent_connection=FailureMode(enabled=True, after_messages=1, count=1)),
}


@pytest.mark.parametrize("when", HANGS)
async def test_a_handshake_that_is_never_completed_ends_in_time(when: str, autojump_clock: MockClock) -> None:
    """home-assistant-websocket #2027: TCP was accepted, nothing else came; the client was "connecting" for 15 hours.

    The server's process hung while its kernel lived on, so that no event ever came that a retry could start from. Here
    the first attempt gets so far and no further, and data is collected over REST until the second one goes through.
    """
    async with world(rate_per_s=4.0) as w:
        w.fail(HANGS[when])
        async with w.feed() as feed:
            await feed.until(lambda: bool(feed.moves), within_s=10.1)
            assert trio.current_time() >= 9.9
            assert feed.path == ["RECONNECTING", "REST_FALLBACK"]
            assert {event.source for event in feed.data} == {Source.POLL}
            await feed.until_state(State.CONNECTED, within_s=3.0)
            await trio.sleep(1.0)
            assert feed.controller.generation == 2
            w.assert_contract(feed, settled=False)
