"""One connection to Kraken's WebSocket v2: acknowledgements pair by pair, pongs, heartbeats where nothing else is said.

Everything that answers is synchronous: a pair is subscribed, its acknowledgement and its snapshot queued without a
checkpoint, so no trade falls in between.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import trio
from trio_websocket import WebSocketConnection

from gapless.simulator.messages import Frame, StreamKey
from gapless.simulator.served import Conversation
from gapless.simulator.session import Session
from gapless.simulator.venues.kraken.limits import KrakenOptions
from gapless.simulator.venues.kraken.requests import BadRequestError, Request, read_request
from gapless.simulator.venues.kraken.wire import (
    SNAPSHOT_SIZE,
    TRADE,
    Acknowledgement,
    Heartbeat,
    Pong,
    Refused,
    Subscribed,
    microseconds,
    spoken,
    status_frame,
    trades_frame,
)
from gapless.simulator.venues.market import VenueMarket
from gapless.simulator.venues.trade import VenueTrade

HEARTBEAT_AFTER_S: Final = 1.0
"""Documented as approximately, in the absence of anything else."""
_HEARTBEAT: Final = spoken("HEARTBEAT", Heartbeat())


class KrakenConversation(Conversation):
    """Talks to one client.

    Args:
        market: its trades.
        session: the client's connection.
        connection_id: what the status calls it.
        options: where the documentation leaves a choice.
        on_socket: whether a trade is one of those that the socket shows.
        ended: told when the connection is gone.
    """

    def __init__(
        self,
        market: VenueMarket,
        session: Session,
        connection_id: int,
        options: KrakenOptions,
        *,
        on_socket: Callable[[VenueTrade], bool],
        ended: Callable[[Session], object],
    ) -> None:
        self.connection_id = connection_id
        self._market = market
        self._session = session
        self._options = options
        self._on_socket = on_socket
        self._ended = ended
        self._quiet: set[StreamKey] = set()
        self._said_at = trio.current_time()

    def begin(self) -> None:
        """The status."""
        self.say(status_frame("WELCOME", "online", self.connection_id))

    def say(self, frame: Frame) -> None:
        """Queue a message; the next heartbeat is due a while after it."""
        self._said_at = trio.current_time()
        self._session.send(frame)

    def receive(self, text: str | bytes) -> None:
        """One request; what cannot be understood is answered, too."""
        if self._session.is_cut:
            return
        now = self._now()
        try:
            request = read_request(text)
        except BadRequestError as error:
            refused = Refused(
                error=str(error), method=error.method, time_in=now, time_out=self._now(), req_id=error.req_id
            )
            self.say(spoken("REJECTED", refused))
            return
        match request.method:
            case "ping":
                self.say(spoken("PONG", Pong(req_id=request.req_id, time_in=now, time_out=self._now())))
            case "subscribe":
                self._subscribe(request, now)
            case "unsubscribe":
                self._unsubscribe(request, now)

    def duties(self, socket: WebSocketConnection) -> Sequence[Callable[[], Awaitable[None]]]:  # noqa: ARG002
        """Heartbeats."""
        return (self._beat,)

    def end(self) -> None:
        """The connection is gone."""
        self._ended(self._session)

    def _subscribe(self, request: Request, time_in: str) -> None:
        keys = [StreamKey(request.channel, symbol) for symbol in request.symbols]
        withheld = self._market.rejected(self._session, [key for key in keys if self._market.has(key.symbol)])
        for key in keys:
            if not self._market.has(key.symbol):
                self._refuse(request, key.symbol, f"Currency pair not supported {key.symbol[:40]}", time_in)
            elif key in withheld:
                self._refuse(request, key.symbol, ": ".join(withheld[key]), time_in)
            elif self._has(key) and self._options.repeated == "reject":
                self._refuse(request, key.symbol, "Already subscribed", time_in)
            else:
                self._begin(request, key, time_in)

    def _begin(self, request: Request, key: StreamKey, time_in: str) -> None:
        snapshot = self._options.snapshot_by_default if request.snapshot is None else request.snapshot
        if key.channel != TRADE:
            self._quiet.add(key)
        elif key not in self._session.marks:
            self._market.listen(self._session, key.channel, key.symbol)
        self._acknowledge(request, Subscribed(channel=key.channel, symbol=key.symbol, snapshot=snapshot), time_in, key)
        if key.channel == TRADE and snapshot:
            shown = [trade for trade in self._market.history(key.symbol).rows if self._on_socket(trade)]
            if shown:
                self.say(trades_frame(shown[-SNAPSHOT_SIZE:], "snapshot"))

    def _unsubscribe(self, request: Request, time_in: str) -> None:
        for symbol in request.symbols:
            key = StreamKey(request.channel, symbol)
            if not self._has(key):
                self._refuse(request, symbol, "Subscription Not Found", time_in)
                continue
            self._quiet.discard(key)
            self._market.mute(self._session, key.channel, key.symbol)
            self._acknowledge(request, Subscribed(channel=key.channel, symbol=symbol), time_in)

    def _has(self, key: StreamKey) -> bool:
        return key in self._session.marks or key in self._quiet

    def _acknowledge(self, request: Request, result: Subscribed, time_in: str, *begun: StreamKey) -> None:
        kind = "SUBSCRIBED" if begun else "UNSUBSCRIBED"
        acknowledgement = Acknowledgement(
            method=request.method, result=result, time_in=time_in, time_out=self._now(), req_id=request.req_id
        )
        self.say(spoken(kind, acknowledgement, *begun))

    def _refuse(self, request: Request, symbol: str, said: str, time_in: str) -> None:
        refused = Refused(
            error=said,
            method=request.method,
            symbol=symbol,
            time_in=time_in,
            time_out=self._now(),
            req_id=request.req_id,
        )
        self.say(spoken("REJECTED", refused))

    def _now(self) -> str:
        return microseconds(self._market.shown_ns())

    async def _beat(self) -> None:
        while True:
            await trio.sleep_until(self._said_at + HEARTBEAT_AFTER_S)
            if trio.current_time() < self._said_at + HEARTBEAT_AFTER_S:
                continue
            if self._session.marks or self._quiet:
                self.say(_HEARTBEAT)
            else:
                self._said_at = trio.current_time()
