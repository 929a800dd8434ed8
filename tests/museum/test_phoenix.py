"""What users of Phoenix's JavaScript client reported: a heartbeat that outlives its connection."""

import trio
from trio.testing import MockClock

from gapless.controller import State, Trigger
from gapless.simulator.network import Direction
from tests.kit import world


class BootClock:
    """Goes on while the machine sleeps."""

    slept_s = 0.0

    def __call__(self) -> float:
        return trio.current_time() + self.slept_s


async def test_a_ping_of_the_dead_socket_condemns_no_new_one(autojump_clock: MockClock) -> None:
    """phoenix #3083: after a wake from sleep the client reconnected, and thirty seconds later once more, needlessly.

    A heartbeat sent on the dead connection was still pending when the new one opened, and its missing answer was held
    against the new one. Here such a PING falls due two seconds after the new socket is up.
    """
    clock = BootClock()
    async with (
        world(rate_per_s=2.0) as w,
        w.feed(boot_clock=clock, heartbeat_interval=30.0, heartbeat_timeout=8.0, silence_policy="immediate") as feed,
    ):
        await feed.until_state(State.CONNECTED)
        await trio.sleep(28.0)
        w.network.black_hole(Direction.BOTH, w.ws_port)
        await trio.sleep(2.5)  # the PING of second 30 leaves meanwhile, for nowhere
        clock.slept_s = 3_600.0
        await feed.until(lambda: feed.moves[-1].trigger is Trigger.RECONNECT_REQUESTED, within_s=6.0)
        w.network.heal()
        await feed.until_state(State.CONNECTED, within_s=5.0)
        assert trio.current_time() < 38.0, "the pending PING is not overdue yet"
        await trio.sleep(60.0)
        assert feed.controller.state is State.CONNECTED
        assert feed.controller.generation == 2
        assert len(w.exchange.handshakes) == 2
        w.assert_contract(feed, settled=False)
