"""A cursor that is further behind its venue than an id may jump, in a market that is quiet when the app comes back."""

from random import Random

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import ContinuityLost, MarketData, NetworkConfig, State, open_controller
from gapless.controller.cursor import Cursor, StreamCursor
from tests.kit import TICKER, virtual_wall_clock, world

JUMP_MAX = 1_000
SLOWLY = {"rate_limit_requests": 1, "rate_limit_window": 3.0}
"""So that the socket's silence is examined before all has been fetched."""


@pytest.mark.parametrize("history_size", [100_000, 6_500], ids=["all of it is kept", "the oldest of it is gone"])
async def test_connected_is_said_when_all_that_was_issued_has_come(
    history_size: int, autojump_clock: MockClock
) -> None:
    """A page that was asked for before the mark came enters after it, and says nothing of how far the stream is."""
    issued = 8 * JUMP_MAX
    accounted: list[int] = []
    async with world(rate_per_s=0, history_size=history_size) as w:
        for _ in range(issued):
            w.exchange.publish(TICKER.channel, TICKER.symbol)
        epoch = w.exchange.epoch
        behind = StreamCursor(channel=TICKER.channel, symbol=TICKER.symbol, epoch=epoch, next_id=1)
        async with open_controller(
            ws_url=w.ws_url,
            rest_url=w.rest_url,
            streams=[TICKER],
            config=NetworkConfig.from_mapping(SLOWLY | {"sequence_jump_max": JUMP_MAX}),
            random=Random(1),
            wall_clock=virtual_wall_clock,
            boot_clock=trio.current_time,
            resume=Cursor(streams=[behind], epoch=epoch),
        ) as controller:
            await controller.wait_for(State.CONNECTED)
            stats = controller.stats
            assert stats.polled + stats.backfilled + stats.ids_lost == issued
            with trio.move_on_after(1):
                async for event in controller:
                    if isinstance(event, MarketData):
                        accounted.append(event.sequence_id or 0)
                    elif isinstance(event, ContinuityLost):
                        accounted.extend(range(event.start_seq, (event.end_seq or 0) + 1))
    assert sorted(accounted) == list(range(1, issued + 1))
