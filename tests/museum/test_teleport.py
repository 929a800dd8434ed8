"""What users of Teleport reported: everybody comes back at once."""

from collections import Counter
from random import Random

import httpx
import trio
from trio.testing import MockClock

from gapless.controller import NetworkConfig, State, open_controller
from tests.kit import TICKER, virtual_wall_clock, world

CLIENTS = 9


async def test_clients_that_lost_the_same_server_come_back_spread_out(autojump_clock: MockClock) -> None:
    """teleport #6889: after a restart of the auth server all clients of a large cluster reconnected in the same second.

    Their pauses had no jitter. Here a server is away for twenty seconds and nine clients come back on their own.
    """
    async with (
        world(rate_per_s=0.5, symbols=("BTC/USD",)) as w,
        httpx.AsyncClient() as http,
        trio.open_nursery() as nursery,
    ):

        async def client(number: int) -> None:
            async with open_controller(
                ws_url=w.ws_url,
                rest_url=w.rest_url,
                streams=[TICKER],
                session_id=f"client-{number}",
                config=NetworkConfig(rest_fetch_interval=60.0),
                http=http,
                random=Random(number),
                wall_clock=virtual_wall_clock,
                boot_clock=trio.current_time,
            ) as controller:
                async for _event in controller:
                    if controller.generation > 1 and controller.state is State.CONNECTED:
                        back.append(number)
                        return

        back: list[int] = []
        for number in range(CLIENTS):
            nursery.start_soon(client, number)
        await trio.sleep(10.0)
        assert len(w.exchange.handshakes) == CLIENTS
        w.exchange.restart(downtime_s=20.0)
        up_at = w.exchange.now() + 20.0
        await trio.sleep(100.0)
        assert len(back) == CLIENTS
        came = [each.time_s - up_at for each in w.exchange.handshakes if each.time_s >= up_at]
        assert len(came) == CLIENTS
        a_second, most = Counter(int(at) for at in came).most_common(1)[0]
        assert most <= CLIENTS / 3, f"{most} in second {a_second}"
        assert len({round(at, 1) for at in came}) > CLIENTS / 2
