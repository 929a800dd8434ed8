"""An exchange on a virtual network, and clients made of trio-websocket and httpx: independent of gapless."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import msgspec
import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection, wrap_client_stream

from gapless.simulator import Endpoints, ExchangeSimulator, SimulatorConfig, serve_exchange
from gapless.simulator.network import VirtualNetwork

WALL_BEGIN_S = 1_767_225_600.0
"""2026-01-01T00:00:00Z: where the wall clock of a test stands when its virtual time begins."""

PATIENCE_S = 5.0
"""Longer than any answer takes on the virtual network, shorter than any timeout of the exchange."""

ABNORMAL_CLOSURE = 1006
"""The code trio-websocket gives to a connection that ended without a close frame."""

UPGRADE = (
    b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
"""The headers of a WebSocket handshake, after ``Host``."""
HANDSHAKE = b"GET /ws?session_id=a HTTP/1.1\r\nHost: x" + UPGRADE

BTC = "ticker:BTC/USD"
ETH = "ticker:ETH/USD"


def wall_clock() -> float:
    return WALL_BEGIN_S + trio.current_time()


class Client:
    """One WebSocket connection of a trio-websocket client."""

    def __init__(self, socket: WebSocketConnection) -> None:
        self.socket = socket

    async def say(self, message: dict[str, object]) -> None:
        await self.socket.send_message(msgspec.json.encode(message).decode())

    async def hear(self) -> dict[str, Any]:
        with trio.fail_after(PATIENCE_S):
            message: dict[str, Any] = msgspec.json.decode(await self.socket.get_message())
        return message

    async def hear_many(self, count: int) -> list[dict[str, Any]]:
        return [await self.hear() for _ in range(count)]

    async def ids(self, count: int) -> list[int]:
        return [message["sequence_id"] for message in await self.hear_many(count)]

    async def hears_nothing(self, for_s: float = PATIENCE_S) -> bool:
        with trio.move_on_after(for_s):
            await self.socket.get_message()
            return False
        return True

    async def is_dropped(self) -> bool:
        """Whether the connection ends without a close frame; what was sent before is heard and thrown away."""
        with trio.move_on_after(PATIENCE_S):
            try:
                while True:
                    await self.socket.get_message()
            except ConnectionClosed as closed:
                return closed.reason is not None and closed.reason.code == ABNORMAL_CLOSURE
        return False

    async def subscribe(self, *streams: str, request_id: str = "s-1") -> dict[str, Any]:
        """Subscribe streams named ``channel:symbol`` and return the answer."""
        await self.say({"type": "SUBSCRIBE", "request_id": request_id, "streams": named(*streams)})
        return await self.hear()

    async def ping(self, request_id: str = "p-1") -> None:
        await self.say({"type": "PING", "request_id": request_id})


def named(*streams: str) -> list[dict[str, str]]:
    return [dict(zip(("channel", "symbol"), stream.split(":", 1), strict=True)) for stream in streams]


async def ended(stream: trio.SocketStream) -> bool:
    """Read to the end of a connection, an orderly one or a reset."""
    with suppress(trio.BrokenResourceError):
        while await stream.receive_some():
            pass
    return True


def error_of(reply: httpx.Response) -> str:
    """The code of an error reply, after a look at its form."""
    body = reply.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message"}
    code: str = body["error"]["code"]
    return code


@dataclass
class World:
    """One served exchange, and ways to reach it."""

    exchange: ExchangeSimulator
    endpoints: Endpoints
    network: VirtualNetwork

    def publish(self, count: int, stream: str = BTC) -> None:
        channel, symbol = stream.split(":", 1)
        for _ in range(count):
            self.exchange.publish(channel, symbol)

    @asynccontextmanager
    async def tcp(self, url: str) -> AsyncIterator[trio.SocketStream]:
        address = urlsplit(url)
        async with await trio.open_tcp_stream(address.hostname or "", address.port or 0) as stream:
            yield stream

    @asynccontextmanager
    async def dial(self, session_id: str = "a", target: str = "") -> AsyncIterator[Client]:
        """Connect and shake hands; WELCOME is still to be heard."""
        target = target or f"/ws?session_id={quote(session_id)}"
        async with self.tcp(self.endpoints.ws_url) as stream, trio.open_nursery() as nursery:
            with trio.fail_after(PATIENCE_S):
                socket = await wrap_client_stream(nursery, stream, "exchange", target)
            yield Client(socket)
            nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def welcomed(self, session_id: str = "a") -> AsyncIterator[Client]:
        """Connect and hear WELCOME."""
        async with self.dial(session_id) as client:
            assert (await client.hear())["type"] == "WELCOME"
            yield client

    async def rejection(self, session_id: str = "a", target: str = "") -> ConnectionRejected:
        """Connect and be answered with an HTTP error; fails if that does not happen."""
        try:
            async with self.dial(session_id, target):
                pass
        except* ConnectionRejected as group:
            (rejected,) = group.exceptions
            assert isinstance(rejected, ConnectionRejected)
        else:
            raise AssertionError("the connection was accepted")
        return rejected

    @asynccontextmanager
    async def rest(self, session_id: str = "a") -> AsyncIterator[httpx.AsyncClient]:
        headers = {"X-Session-Id": session_id}
        async with httpx.AsyncClient(
            base_url=self.endpoints.rest_url, headers=headers, timeout=PATIENCE_S, trust_env=False
        ) as client:
            yield client


@asynccontextmanager
async def served(**settings: Any) -> AsyncIterator[World]:
    """An exchange on a network of its own; it issues only what the test publishes, unless ``rate_per_s`` is given.

    In the end every socket, of either side, must be closed.
    """
    network = VirtualNetwork(seed=1)
    with network.installed():
        exchange = ExchangeSimulator(SimulatorConfig(**{"rate_per_s": 0.0, **settings}), wall_clock=wall_clock)
        async with serve_exchange(exchange) as endpoints:
            yield World(exchange, endpoints, network)
    assert network.open_sockets == 0
