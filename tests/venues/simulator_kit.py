"""A simulated venue on a virtual network, and clients made of trio-websocket and httpx: independent of gapless."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import trio
from trio_websocket import ConnectionRejected, wrap_client_stream

from gapless.simulator import Endpoints, serve_exchange
from gapless.simulator.network import VirtualNetwork
from gapless.simulator.venues import Venue, VenueConfig, VenueSimulator
from tests.simulator.conftest import PATIENCE_S, WALL_BEGIN_S, Client, wall_clock

ADDRESS = "127.0.0.1"
"""Every client's on the virtual network; a venue knows clients by it."""


@dataclass
class VenueWorld:
    """One served venue, and ways to reach it."""

    venue: VenueSimulator
    endpoints: Endpoints
    network: VirtualNetwork
    client: httpx.AsyncClient
    """Names no session, so the venue knows it by its address."""

    def publish(self, count: int, symbol: str) -> None:
        for _ in range(count):
            self.venue.publish(symbol)

    @asynccontextmanager
    async def dial(self, target: str = "") -> AsyncIterator[Client]:
        """Connect and shake hands at the usual path, or another."""
        address = urlsplit(self.endpoints.ws_url)
        stream = await trio.open_tcp_stream(address.hostname or "", address.port or 0)
        async with stream, trio.open_nursery() as nursery:
            with trio.fail_after(PATIENCE_S):
                socket = await wrap_client_stream(nursery, stream, "venue", target or address.path)
            yield Client(socket)
            nursery.cancel_scope.cancel()

    async def rejection(self, target: str = "") -> ConnectionRejected:
        """Connect and be answered with an HTTP error; fails if that does not happen."""
        try:
            async with self.dial(target):
                pass
        except* ConnectionRejected as group:
            (rejected,) = group.exceptions
            assert isinstance(rejected, ConnectionRejected)
        else:
            raise AssertionError("the connection was accepted")
        return rejected

    def rest(self, session_id: str) -> httpx.AsyncClient:
        """A client that names its session; to be used as a context."""
        headers = {"X-Session-Id": session_id}
        return httpx.AsyncClient(base_url=self.endpoints.rest_url, headers=headers, timeout=PATIENCE_S, trust_env=False)

    async def get(self, path: str, **params: Any) -> httpx.Response:
        return await self.client.get(path, params=params or None)


@asynccontextmanager
async def simulated(venue: Venue, **settings: Any) -> AsyncIterator[VenueWorld]:
    """A venue on a network of its own; only what the test publishes is traded, unless ``rate_per_s`` is given.

    In the end every socket, of either side, must be closed.
    """
    network = VirtualNetwork(seed=1)
    with network.installed():
        simulator = VenueSimulator(venue, VenueConfig(**{"rate_per_s": 0.0, **settings}), wall_clock=wall_clock)
        async with (
            serve_exchange(simulator) as endpoints,
            httpx.AsyncClient(base_url=endpoints.rest_url, timeout=PATIENCE_S, trust_env=False) as client,
        ):
            yield VenueWorld(simulator, endpoints, network, client)
    assert network.open_sockets == 0


def wall_ms() -> int:
    return round((WALL_BEGIN_S + trio.current_time()) * 1000)
