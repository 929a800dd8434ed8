"""The failure ``ping_flood``, heard by a client that is nothing but wsproto: it sees the PINGs that libraries hide."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio
from trio.testing import MockClock
from wsproto import ConnectionType, WSConnection
from wsproto.events import CloseConnection, Event, Ping, Request, TextMessage

from gapless.simulator import FailuresConfig, PingFloodMode
from gapless.simulator.ping_flood import OUTSTANDING_MAX
from tests.simulator.conftest import BTC, World, served


class BareClient:
    """Answers PINGs, or not, and counts them."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._wire = WSConnection(ConnectionType.CLIENT)
        self.answers = True
        self.pinged_at: list[float] = []
        self.texts = 0
        self.closed = False

    async def send(self, event: Event) -> None:
        await self._stream.send_all(self._wire.send(event))

    async def read(self) -> None:
        """Until the server closes."""
        with suppress(trio.BrokenResourceError):
            while data := await self._stream.receive_some():
                self._wire.receive_data(data)
                for event in self._wire.events():
                    await self._take(event)
        self.closed = True

    async def _take(self, event: Event) -> None:
        if isinstance(event, Ping):
            self.pinged_at.append(trio.current_time())
            if self.answers:
                await self.send(event.response())
        self.texts += isinstance(event, TextMessage)

    def pings_between(self, since: float, until: float) -> int:
        return sum(since <= each < until for each in self.pinged_at)


@asynccontextmanager
async def bare_client(world: World, session_id: str = "a") -> AsyncIterator[BareClient]:
    async with world.tcp(world.endpoints.ws_url) as stream, trio.open_nursery() as nursery:
        client = BareClient(stream)
        await client.send(Request(host="x", target=f"/ws?session_id={session_id}"))
        nursery.start_soon(client.read)
        yield client
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("pings_per_s", [20.0, 200.0])
async def test_pings_come_at_their_rate(pings_per_s: float, autojump_clock: MockClock) -> None:
    mode = PingFloodMode(enabled=True, pings_per_s=pings_per_s)
    async with served(failures=FailuresConfig(ping_flood=mode)) as world, bare_client(world) as client:
        await trio.sleep(5.01)
        assert client.pings_between(1.0, 5.0) == pytest.approx(4 * pings_per_s, abs=1)
        assert client.texts == 1, "WELCOME came in between"
        assert world.exchange.injected == {"ping_flood": 1}
    assert PingFloodMode().pings_per_s == 200.0


async def test_messages_come_as_ever(autojump_clock: MockClock) -> None:
    """Through a client that is whole: it answers every PING itself."""
    mode = PingFloodMode(enabled=True)
    async with served(rate_per_s=10.0, failures=FailuresConfig(ping_flood=mode)) as world, world.welcomed() as client:
        await client.subscribe(BTC)
        heard = await client.ids(20)
        assert heard == list(range(heard[0], heard[0] + 20))
        await client.ping()
        types = [(await client.hear())["type"] for _ in range(5)]
        assert "PONG" in types


async def test_it_is_switched_on_and_off_on_an_open_connection(autojump_clock: MockClock) -> None:
    async with served() as world, bare_client(world) as client, bare_client(world, "b") as other:
        await trio.sleep(1)
        for at, pings in ((1.0, 100), (3.0, 100)):
            world.exchange.failures.switch("ping_flood", PingFloodMode(enabled=True, pings_per_s=100.0), "a")
            await trio.sleep(1)
            world.exchange.failures.switch("ping_flood", None, "a")
            await trio.sleep(1)
            assert client.pings_between(at, at + 2.0) == pytest.approx(pings, abs=2)
        assert other.pinged_at == []
        assert not client.closed


@pytest.mark.parametrize(
    ("mode", "seconds"),
    [(PingFloodMode(enabled=True, duration_s=2.0), 2.0), (PingFloodMode(enabled=False), 0.0)],
)
async def test_it_lasts_as_long_as_it_says(mode: PingFloodMode, seconds: float, autojump_clock: MockClock) -> None:
    async with served(failures=FailuresConfig(ping_flood=mode)) as world, bare_client(world) as client:
        await trio.sleep(5)
        assert len(client.pinged_at) == pytest.approx(seconds * 200, abs=5)


async def test_it_can_happen_to_one_connection_and_be_over(autojump_clock: MockClock) -> None:
    mode = PingFloodMode(enabled=True, count=1)
    async with served(failures=FailuresConfig(ping_flood=mode)) as world:
        for flooded in (True, False):
            async with bare_client(world) as client:
                await trio.sleep(1)
                assert bool(client.pinged_at) is flooded


async def test_a_client_that_answers_none_gets_no_more_than_so_many(autojump_clock: MockClock) -> None:
    mode = PingFloodMode(enabled=True, pings_per_s=1_000.0)
    async with served(failures=FailuresConfig(ping_flood=mode)) as world, bare_client(world) as client:
        client.answers = False
        await trio.sleep(2)
        assert len(client.pinged_at) == OUTSTANDING_MAX
        assert not client.closed


async def test_it_goes_on_while_the_client_closes(autojump_clock: MockClock) -> None:
    """Half a second each way: the PINGs under way arrive behind the client's CLOSE, and before the server's."""
    mode = PingFloodMode(enabled=True)
    async with served(failures=FailuresConfig(ping_flood=mode)) as world:
        world.network.set_latency(0.5)
        async with bare_client(world) as client:
            await trio.sleep(3)
            client.answers = False
            closing_at = trio.current_time()
            await client.send(CloseConnection(code=1000))
            await trio.sleep(3)
            assert client.pings_between(closing_at, closing_at + 0.99) > 150
            assert client.closed
    assert world.exchange.hub.sockets == 0


@pytest.mark.parametrize("ends", ["disconnect", "goodbye", "restart"])
async def test_it_ends_with_its_connection_however_that_ends(ends: str, autojump_clock: MockClock) -> None:
    mode = PingFloodMode(enabled=True)
    async with served(failures=FailuresConfig(ping_flood=mode)) as world, bare_client(world) as client:
        await trio.sleep(1)
        if ends == "goodbye":
            world.exchange.goodbye("maintenance")
        elif ends == "restart":
            world.exchange.restart()
        else:
            world.exchange.disconnect()
        await trio.sleep(2)
        assert client.closed
        assert client.pings_between(1.1, 9.0) == 0
