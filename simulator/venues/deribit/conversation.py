"""One connection to Deribit: JSON-RPC requests and answers, and heartbeats once a client has asked for them.

Everything that answers is synchronous: a channel is subscribed and its answer queued without a checkpoint, so no trade
falls in between.

The rule of answers: each interval brings a ``heartbeat`` and a ``test_request``; a client that has not said
``public/test`` until the next interval is cut. While a failure holds that keeps messages back, nobody is cut for not
answering: a client cannot answer what it did not hear, and a silent connection is to stay open.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import trio
from trio_websocket import WebSocketConnection

from gapless.simulator.messages import StreamKey
from gapless.simulator.seams import Cut
from gapless.simulator.served import Caller, Conversation
from gapless.simulator.session import Session
from gapless.simulator.venues.deribit.limits import Credits
from gapless.simulator.venues.deribit.requests import (
    BadRequestError,
    Request,
    channels_of,
    instrument_of,
    invalid,
    quiet_instrument_of,
    read_request,
)
from gapless.simulator.venues.deribit.wire import (
    METHOD_NOT_FOUND,
    TOO_MANY,
    TRADES,
    HeartbeatNotification,
    HeartbeatParams,
    RequestId,
    RpcError,
    answered,
    channel_name,
    microseconds,
    refused,
    spoken,
)
from gapless.simulator.venues.market import VenueMarket

VERSION: Final = "1.2.26"
INTERVAL_MIN_S: Final = 10.0
"""Of heartbeats; documented."""
INTERVAL_MAX_S: Final = 86_400.0
"""A bound."""
MUTING: Final = ("silent_connection", "acknowledged_silent", "pong_only")
"""The failures that keep a ``test_request`` back."""


class DeribitConversation(Conversation):
    """Talks to one client.

    Args:
        market: its trades.
        session: the client's connection.
        caller: whose credits it spends.
        credit: the pools.
        ended: told when the connection is gone.
    """

    def __init__(
        self,
        market: VenueMarket,
        session: Session,
        caller: Caller,
        credit: Credits,
        *,
        ended: Callable[[], None],
    ) -> None:
        self._market = market
        self._session = session
        self._address = caller.address
        self._credit = credit
        self._ended = ended
        self._quiet: dict[str, None] = {}
        self._interval_s: float | None = None
        self._is_asked = False
        self._changed = trio.Event()

    def begin(self) -> None:
        """Nothing is said."""

    def receive(self, text: str | bytes) -> None:
        """One request; what cannot be understood is answered, too, and costs as much."""
        if self._session.is_cut:
            return
        us_in = microseconds(self._market)
        try:
            request = read_request(text)
        except BadRequestError as error:
            if self._pays("", error.request_id, us_in):
                self._refuse(error, us_in)
            return
        if not self._pays(request.method, request.id, us_in):
            return
        try:
            kind, result, begun = self._done(request)
        except BadRequestError as error:
            self._refuse(error, us_in)
            return
        self._session.send(spoken(kind, answered(self._market, us_in, request.id, result), *begun))

    def duties(self, socket: WebSocketConnection) -> Sequence[Callable[[], Awaitable[None]]]:  # noqa: ARG002
        """Heartbeats, if they are asked for."""
        return (self._beat,)

    def end(self) -> None:
        """The connection is gone."""
        self._ended()

    def _pays(self, method: str, request_id: RequestId | None, us_in: int) -> bool:
        if self._credit.spend(self._market, self._address, method, method or "(no method)"):
            return True
        self._session.send(spoken("REJECTED", refused(self._market, us_in, request_id, TOO_MANY)))
        self._session.send(Cut("no credits left"))
        return False

    def _refuse(self, error: BadRequestError, us_in: int) -> None:
        self._session.send(spoken("REJECTED", refused(self._market, us_in, error.request_id, error.error)))

    def _done(self, request: Request) -> tuple[str, object, tuple[StreamKey, ...]]:
        """Do what is asked for: what the answer is called, its result, and the streams that it begins."""
        match request.method:
            case "public/subscribe":
                taken = self._subscribe(request)
                begun = [StreamKey(TRADES, name) for name in map(instrument_of, taken) if name is not None]
                return "SUBSCRIBED", taken, tuple(begun)
            case "public/unsubscribe":
                return "UNSUBSCRIBED", self._unsubscribe(channels_of(request)), ()
            case "public/unsubscribe_all":
                channels = [channel_name(key.symbol) for key in self._session.marks] + list(self._quiet)
                self._unsubscribe(channels)
                return "UNSUBSCRIBED", "ok", ()
            case "public/test":
                self._is_asked = False
                return "PONG", {"version": VERSION}, ()
            case "public/hello":
                return "ANSWER", {"version": VERSION}, ()
            case "public/get_time":
                return "ANSWER", self._market.shown_ns() // 1_000_000, ()
            case "public/set_heartbeat":
                return "ANSWER", self._set_heartbeat(_interval(request)), ()
            case "public/disable_heartbeat":
                return "ANSWER", self._set_heartbeat(None), ()
            case _:
                raise BadRequestError(RpcError(code=METHOD_NOT_FOUND, message="Method not found"), request.id)

    def _subscribe(self, request: Request) -> list[str]:
        """The channels that were taken; one that does not exist is left out without a word."""
        channels = channels_of(request)
        keys = {channel: StreamKey(TRADES, instrument_of(channel) or "") for channel in channels}
        known = [key for key in keys.values() if self._market.has(key.symbol)]
        withheld = self._market.rejected(self._session, known)
        taken: list[str] = []
        for channel, key in keys.items():
            if self._market.has(key.symbol) and key not in withheld:
                if key not in self._session.marks:
                    self._market.listen(self._session, key.channel, key.symbol)
                taken.append(channel)
            elif self._market.has(quiet_instrument_of(channel) or ""):
                self._quiet[channel] = None
                taken.append(channel)
        return taken

    def _unsubscribe(self, channels: list[str]) -> list[str]:
        """The channels that were given up: those that were subscribed."""
        given_up: list[str] = []
        for channel in channels:
            key = StreamKey(TRADES, instrument_of(channel) or "")
            if key in self._session.marks:
                self._market.mute(self._session, key.channel, key.symbol)
                given_up.append(channel)
            elif channel in self._quiet:
                del self._quiet[channel]
                given_up.append(channel)
        return given_up

    def _set_heartbeat(self, interval_s: float | None) -> str:
        self._interval_s = interval_s
        self._is_asked = False
        self._changed.set()
        self._changed = trio.Event()
        return "ok"

    async def _beat(self) -> None:
        while True:
            changed, interval_s = self._changed, self._interval_s
            if interval_s is None:
                await changed.wait()
                continue
            with trio.move_on_after(interval_s):
                await changed.wait()
                continue
            if self._is_asked:
                self._session.cut(f"no public/test within {interval_s:g} s")
                return
            self._is_asked = not self._is_muted()
            for kind in ("heartbeat", "test_request"):
                self._session.send(spoken("HEARTBEAT", HeartbeatNotification(params=HeartbeatParams(kind))))

    def _is_muted(self) -> bool:
        rules = [self._market.failures.rule(kind, self._session.session_id) for kind in MUTING]
        return any(rule is not None and rule.enabled and rule.holds(trio.current_time()) for rule in rules)


def _interval(request: Request) -> float:
    interval = request.params.get("interval")
    if interval is None:
        raise BadRequestError(invalid("interval", "is required"), request.id)
    if not isinstance(interval, int | float) or isinstance(interval, bool):
        raise BadRequestError(invalid("interval", "must be number"), request.id)
    if not INTERVAL_MIN_S <= interval <= INTERVAL_MAX_S:
        raise BadRequestError(invalid("interval", f"must be at least {INTERVAL_MIN_S:g}"), request.id)
    return float(interval)
