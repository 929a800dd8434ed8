"""Ten minutes without a network, in the time of a blink: pytest examples/test_outage.py (needs pytest-trio)."""

import pytest

from gapless.controller import State
from gapless.simulator.testkit import World


@pytest.mark.trio
async def test_ten_minutes_without_a_network_cost_nothing(gapless_world: World) -> None:
    async with gapless_world.feed(reconnect_max_attempts=None) as feed:
        await feed.until_state(State.CONNECTED)
        gapless_world.network.black_hole()
        await gapless_world.pass_time(600)
        gapless_world.network.heal()
        await feed.until_whole(within_s=120)
        feed.assert_passed(State.CONNECTED, State.SILENT, State.REST_FALLBACK, State.CONNECTED)
        feed.assert_contract()
        assert not feed.lost
