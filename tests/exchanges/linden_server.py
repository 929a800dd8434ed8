"""Linden itself, as far as a test needs it: two markets, a WebSocket, a REST server, and what goes wrong on them.

It shares no code with the adapter: what the two have in common is the venue's (imaginary) documentation.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from math import inf

import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

from gapless.simulator.http_server import HttpServer
from gapless.simulator.testkit import virtual_wall_clock

MARKETS = ("OAK-EUR", "ELM-EUR")
BEAT_S, PROOF_S, PROOF_WITHIN_S = 5.0, 7.0, 2.0


class LindenServer:
    """Trades by hand; everything else by itself.

    Attributes:
        unsent: ids that never leave on a socket.
        mute: whether nothing at all leaves on a socket.
        requests: paths and queries that came, in order.
        oldest: the first id that is still kept.
        dialled: how many sockets were opened.
        proven: how many signs of life came.
        unproven: how many sockets were asked for a sign of life and gave none in time.
    """

    def __init__(self) -> None:
        self.rows: dict[str, list[list[object]]] = {market: [] for market in MARKETS}
        self.unsent: set[int] = set()
        self.mute = False
        self.oldest = 1
        self.requests: list[str] = []
        self.dialled = self.unproven = self.proven = 0
        self.ws_url = self.rest_url = ""
        self._sockets: dict[WebSocketConnection, set[str]] = {}

    def last(self, market: str) -> int:
        """The last id that was issued; 0: none yet."""
        return len(self.rows[market])

    async def trade(self, market: str, *prices: str) -> None:
        """Issue trades at these prices, in one frame."""
        first = self.last(market) + 1
        at_ms = round(virtual_wall_clock() * 1000)
        issued = [[first + at, price, "0.250", "b", at_ms] for at, price in enumerate(prices)]
        self.rows[market] += issued
        sent = [row for row in issued if row[0] not in self.unsent]
        for socket, markets in list(self._sockets.items()):
            if market in markets and sent:
                await self._say(socket, ev="trades", market=market, rows=sent)

    # -- the socket ----------------------------------------------------------------------------------------------------

    async def _say(self, socket: WebSocketConnection, **message: object) -> None:
        if self.mute:
            return
        try:
            await socket.send_message(json.dumps(message))
        except ConnectionClosed:
            self._sockets.pop(socket, None)

    async def _converse(self, request: WebSocketRequest) -> None:
        self.dialled += 1
        socket = await request.accept()
        self._sockets[socket] = set()
        proofs: dict[str, float] = {}
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._beat, socket)
                nursery.start_soon(self._demand, socket, proofs, nursery.cancel_scope)
                while True:
                    await self._answer(socket, json.loads(await socket.get_message()), proofs)
        except* ConnectionClosed:
            pass
        finally:
            self._sockets.pop(socket, None)

    async def _beat(self, socket: WebSocketConnection) -> None:
        while True:
            await trio.sleep(BEAT_S)
            await self._say(socket, ev="beat", last={each: self.last(each) for each in self._sockets.get(socket, ())})

    async def _demand(self, socket: WebSocketConnection, proofs: dict[str, float], scope: trio.CancelScope) -> None:
        """Who gives no sign of life is cut off."""
        for number in range(1_000_000):
            await trio.sleep(PROOF_S)
            proofs[f"a{number}"] = inf
            await self._say(socket, ev="proof", token=f"a{number}")
            await trio.sleep(PROOF_WITHIN_S)
            if proofs[f"a{number}"] == inf and not self.mute:
                self.unproven += 1
                scope.cancel()

    async def _answer(self, socket: WebSocketConnection, asked: dict[str, object], proofs: dict[str, float]) -> None:
        names = asked.get("markets")
        markets = [str(each) for each in names] if isinstance(names, list) else []
        match asked["op"]:
            case "join":
                known = [each for each in markets if each in self.rows]
                self._sockets[socket] |= set(known)
                await self._say(socket, ev="joined", req=asked["req"], last={each: self.last(each) for each in known})
                for each in set(markets) - set(known):
                    said = {"market": each, "code": "no-market", "text": f"there is no market {each}"}
                    await self._say(socket, ev="refused", req=asked["req"], **said)
            case "leave":
                self._sockets[socket] -= set(markets)
                await self._say(socket, ev="left", req=asked["req"])
            case "ping":
                await self._say(socket, ev="pong", req=asked["req"])
            case "proof":
                proofs[str(asked["token"])] = trio.current_time()
                self.proven += 1

    # -- REST ----------------------------------------------------------------------------------------------------------

    async def _trades(self, request: Request) -> Response:
        self.requests.append(f"{request.url.path}?{request.url.query}")
        market, count = request.path_params["market"], int(request.query_params["count"])
        if market not in self.rows:
            return JSONResponse({"code": "no-market", "message": f"there is no market {market}"}, 404)
        first = int(request.query_params.get("from", max(self.last(market) - count + 1, 1)))
        page = self.rows[market][max(first, self.oldest) - 1 :][:count]
        return JSONResponse({"rows": page, "oldest": self.oldest}, headers={"Linden-Used": str(len(self.requests))})

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        """Listen, on the network of the run."""
        app = Starlette(routes=[Route("/v1/trades/{market}", self._trades)])
        async with trio.open_nursery() as nursery:
            server = await nursery.start(partial(serve_websocket, self._converse, "127.0.0.1", 0, ssl_context=None))
            listeners = await nursery.start(partial(trio.serve_tcp, HttpServer(app).handle, 0, host="127.0.0.1"))
            self.ws_url = f"ws://127.0.0.1:{server.port}/v1"
            self.rest_url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
            yield
            nursery.cancel_scope.cancel()
