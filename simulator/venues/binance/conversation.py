"""One connection to Binance: requests, acknowledgements, and the server's PING frames.

Everything that answers is synchronous: a stream is subscribed and its acknowledgement queued without a checkpoint, so
no trade falls in between.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection
from wsproto.utilities import LocalProtocolError

from gapless.simulator.messages import Frame, StreamKey
from gapless.simulator.served import Caller, Conversation
from gapless.simulator.session import Session
from gapless.simulator.venues.binance.limits import BinanceLimits, BinanceOptions
from gapless.simulator.venues.binance.requests import (
    CHANNELS,
    INVALID_REQUEST,
    INVALID_TYPE,
    BadRequestError,
    StreamRequest,
    named_stream,
    read_request,
)
from gapless.simulator.venues.binance.wire import (
    Answer,
    ErrorDetail,
    Refused,
    RefusedFlat,
    RequestId,
    spoken,
    stream_name,
)
from gapless.simulator.venues.limits import SlidingWindow
from gapless.simulator.venues.market import VenueMarket

COMBINED: Final = "combined"
"""The accent of a session on ``/stream``."""
PING_EVERY_S: Final = 20.0
"""Documented."""
PONG_WITHIN_S: Final = 60.0
"""Documented: no PONG within a minute, and the connection is cut."""


class BinanceConversation(Conversation):
    """Talks to one client."""

    def __init__(
        self, market: VenueMarket, session: Session, caller: Caller, limits: BinanceLimits, options: BinanceOptions
    ) -> None:
        self._market = market
        self._session = session
        self._address = caller.address
        self._limits = limits
        self._options = options
        self._named = streams_of(caller)
        self._said = SlidingWindow(limits.messages_per_s, 1.0)
        session.accent = COMBINED if caller.path.startswith("/stream") else ""

    def begin(self) -> None:
        """Nothing is said; the streams in the path begin."""
        keys = [named_stream(name) for name in self._named]
        for key in keys:
            if key is not None and key.channel in CHANNELS and self._market.has(key.symbol):
                self._market.listen(self._session, key.channel, key.symbol)

    def receive(self, text: str | bytes) -> None:
        """One request; what cannot be understood is answered, too."""
        if self._session.is_cut:
            return
        if self._said.take("", trio.current_time()):
            self._market.violated(self._address, "messages", f"more than {self._limits.messages_per_s} a second")
            self._session.cut("too many messages")
            return
        try:
            answer = self._answer(read_request(text))
        except BadRequestError as error:
            answer = self._refusal(error.code, str(error), error.request_id)
        self._session.send(answer)

    def duties(self, socket: WebSocketConnection) -> Sequence[Callable[[], Awaitable[None]]]:
        """PING frames, and the end after a day."""

        async def ping() -> None:
            await self._ping(socket)

        return (ping, self._expire)

    def _answer(self, request: StreamRequest) -> Frame:
        match request.method:
            case "SUBSCRIBE":
                keys = self._keys(request)
                self._subscribe(keys, request.id)
                return spoken("SUBSCRIBED", Answer(None, request.id), *keys)
            case "UNSUBSCRIBE":
                for key in self._keys(request):
                    self._market.mute(self._session, key.channel, key.symbol)
                return spoken("UNSUBSCRIBED", Answer(None, request.id))
            case "LIST_SUBSCRIPTIONS":
                return spoken("ANSWER", Answer([stream_name(key) for key in self._session.marks], request.id))
            case _:
                return spoken("ANSWER", self._property(request))

    def _subscribe(self, keys: list[StreamKey], request_id: RequestId) -> None:
        withheld = self._market.rejected(self._session, keys)
        if withheld:
            code, said = next(iter(withheld.values()))
            raise BadRequestError(INVALID_REQUEST, f"Invalid request: {code}: {said}", request_id)
        if len({*self._session.marks, *keys}) > self._limits.streams_max:
            self._market.violated(self._address, "streams", f"more than {self._limits.streams_max} on a connection")
            raise BadRequestError(INVALID_REQUEST, "Invalid request: too many parameters", request_id)
        for key in keys:
            self._market.listen(self._session, key.channel, key.symbol)

    def _keys(self, request: StreamRequest) -> list[StreamKey]:
        """The streams of a request: all of them are named as streams are, and, where the options say so, exist."""
        if not request.params:
            raise BadRequestError(INVALID_REQUEST, "Invalid request: `params` names no stream", request.id)
        keys: list[StreamKey] = []
        for name in request.params:
            key = named_stream(name)
            known = key is not None and key.channel in CHANNELS and self._market.has(key.symbol)
            if key is None or not (known or self._options.unknown_streams == "acknowledge"):
                raise BadRequestError(
                    INVALID_REQUEST, f"Invalid request: invalid stream {str(name)[:60]!r}", request.id
                )
            keys.append(key)
        return list(dict.fromkeys(keys))

    def _property(self, request: StreamRequest) -> Answer:
        if request.params[:1] != ("combined",):
            raise BadRequestError(0, "Unknown property", request.id)
        if request.method == "GET_PROPERTY":
            return Answer(self._session.accent == COMBINED, request.id)
        value = request.params[1] if len(request.params) == 2 else None
        if not isinstance(value, bool):
            raise BadRequestError(INVALID_TYPE, "Invalid value type: expected Boolean", request.id)
        self._session.accent = COMBINED if value else ""
        return Answer(None, request.id)

    def _refusal(self, code: int, said: str, request_id: RequestId) -> Frame:
        if self._options.error_form == "flat":
            return spoken("REJECTED", RefusedFlat(code, said, request_id))
        return spoken("REJECTED", Refused(ErrorDetail(code, said), request_id))

    async def _ping(self, socket: WebSocketConnection) -> None:
        while True:
            await trio.sleep(PING_EVERY_S)
            try:
                with trio.move_on_after(PONG_WITHIN_S) as patience:
                    await socket.ping()
            except (ConnectionClosed, LocalProtocolError):
                return  # The client is closing, or gone: whoever reads the socket says so.
            if patience.cancelled_caught:
                self._session.cut(f"no PONG within {PONG_WITHIN_S:g} s")

    async def _expire(self) -> None:
        await trio.sleep(self._limits.connection_max_s)
        self._session.cut(f"the connection is {self._limits.connection_max_s} s old")


def streams_of(caller: Caller) -> list[str]:
    """The streams that a path names: ``/ws/a/b``, ``/stream?streams=a/b``."""
    if caller.path.startswith("/stream"):
        return [name for name in caller.asked("streams").split("/") if name]
    return [name for name in caller.path.removeprefix("/ws").split("/") if name]
