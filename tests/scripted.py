"""A venue that does exactly what a test writes down, conforming or not, on a virtual network."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

import msgspec
import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

from gapless.controller import Exchange, NetworkConfig, RestRateLimiter, Stream, open_controller
from gapless.simulator.http_server import HttpServer
from gapless.simulator.network import VirtualNetwork
from tests.kit import TICKER, Feed, virtual_wall_clock

Query = Mapping[str, str]
Rest = Callable[[str, Query], Response]


def timestamp() -> str:
    """The virtual time as the venue writes it."""
    seconds = round(trio.current_time() * 1000) % 86_400_000
    minutes, rest = divmod(seconds, 60_000)
    return f"2026-01-01T{minutes // 60:02}:{minutes % 60:02}:{rest / 1000:06.3f}Z"


def page(ids: Sequence[int | None], *, first_seq: int | None = 1, last_seq: int | None, epoch: str = "e-1") -> Response:
    """A reply of history."""
    rows = [{"timestamp": timestamp(), "price": 1.0} | ({} if n is None else {"sequence_id": n}) for n in ids]
    body = {"prices": rows, "epoch": epoch, "first_seq": first_seq, "last_seq": last_seq}
    return Response(msgspec.json.encode({key: value for key, value in body.items() if value is not None}))


def history(last_seq: Callable[[], int], *, first_seq: int = 1, epoch: str = "e-1") -> Rest:
    """A well-behaved REST side that knows ids up to ``last_seq()``."""

    def rest(path: str, query: Query) -> Response:
        if path != "/api/v1/prices":
            return Response(
                msgspec.json.encode({path.rsplit("/", 1)[1]: [], "orders": [], "balances": [], "sequence_id": 0})
            )
        last = last_seq()
        start, end = int(query.get("start_seq", first_seq)), min(int(query.get("end_seq", last)), last)
        ids = range(max(start, first_seq), end + 1)[: int(query["limit"])]
        return page(ids, first_seq=first_seq, last_seq=last, epoch=epoch)

    return rest


class Socket:
    """One connection, from the venue's side. PINGs are answered unless ``answers`` is off."""

    def __init__(self, socket: WebSocketConnection) -> None:
        self._socket = socket
        self.answers = True
        self.pings = 0
        self.asked = trio.Event()
        self.heard: list[dict[str, object]] = []
        """Everything the client has said."""
        self._request_id = ""

    async def send(self, **message: object) -> None:
        await self._socket.send_message(msgspec.json.encode(message).decode())

    async def send_raw(self, frame: str | bytes) -> None:
        """Send what no venue should."""
        await self._socket.send_message(frame)

    async def welcome(self, epoch: str | None = "e-1") -> None:
        """WELCOME, then wait for the client's SUBSCRIBE."""
        await self.send(type="WELCOME", session_id="x", **({} if epoch is None else {"epoch": epoch}))
        await self.asked.wait()

    async def subscribed(self, mark: int | None, *streams: Stream) -> None:
        names = [
            {"channel": each.channel, "symbol": each.symbol} | ({} if mark is None else {"sequence_id": mark})
            for each in streams or (TICKER,)
        ]
        await self.send(type="SUBSCRIBED", request_id=self._request_id, streams=names)

    async def data(self, *ids: int, stream: Stream = TICKER, every_s: float = 0.0) -> None:
        for number in ids:
            await self.send(
                type="MARKET_DATA",
                channel=stream.channel,
                symbol=stream.symbol,
                sequence_id=number,
                timestamp=timestamp(),
                price=1.0,
            )
            await trio.sleep(every_s)

    async def read(self) -> None:
        while True:
            message = msgspec.json.decode(await self._socket.get_message())
            self.heard.append(message)
            if message.get("type") == "PING":
                self.pings += 1
                if self.answers:
                    await self.send(type="PONG", request_id=message["request_id"])
            elif "SUBSCRIBE" in {message.get("type"), message.get("method")}:
                self._request_id = message.get("request_id", "")
                self.asked.set()


Script = Callable[[Socket, int], Awaitable[None]]


class Venue:
    """Serves a script for each connection (numbered from 1; its end closes the socket) and a REST function."""

    def __init__(self, script: Script, rest: Rest) -> None:
        self._script = script
        self._rest = rest
        self.dialled_at: list[float] = []
        self.requests: list[tuple[float, str, Query]] = []
        self.ws_url = self.rest_url = ""
        self.network = VirtualNetwork(seed=1)

    async def handle_socket(self, request: WebSocketRequest) -> None:
        self.dialled_at.append(trio.current_time())
        number = len(self.dialled_at)
        socket = Socket(await request.accept())
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(socket.read)
                await self._script(socket, number)
                nursery.cancel_scope.cancel()
        except* ConnectionClosed:
            pass

    async def handle_request(self, request: Request) -> Response:
        self.requests.append((trio.current_time(), request.url.path, dict(request.query_params)))
        return self._rest(request.url.path, dict(request.query_params))

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """Serve, for controllers one after the other."""
        app = Starlette(routes=[Route("/{path:path}", self.handle_request)])
        with self.network.installed():
            async with trio.open_nursery() as nursery:
                server = await nursery.start(
                    partial(serve_websocket, self.handle_socket, "127.0.0.1", 0, ssl_context=None)
                )
                listeners = await nursery.start(partial(trio.serve_tcp, HttpServer(app).handle, 0, host="127.0.0.1"))
                self.ws_url = f"ws://127.0.0.1:{server.port}/ws"
                self.rest_url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
                yield
                nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def feed(
        self,
        *streams: Stream,
        limiter: RestRateLimiter | None = None,
        exchange: Callable[[str, str], Exchange] | None = None,
        consume: bool = True,
        **settings: object,
    ) -> AsyncIterator[Feed]:
        """Serve, and open a controller against it."""
        async with (
            self.served(),
            open_controller(
                ws_url=self.ws_url,
                rest_url=self.rest_url,
                streams=streams or [TICKER],
                config=NetworkConfig.from_mapping(settings),
                limiter=limiter,
                exchange=None if exchange is None else exchange(self.ws_url, self.rest_url),
                wall_clock=virtual_wall_clock,
                boot_clock=trio.current_time,
            ) as controller,
            trio.open_nursery() as consuming,
        ):
            feed = Feed(controller)
            if consume:
                consuming.start_soon(feed.consume)
            yield feed
            consuming.cancel_scope.cancel()
