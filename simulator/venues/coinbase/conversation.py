"""One connection to Coinbase's feed.

Everything that answers is synchronous: a product is subscribed, its acknowledgement and its last match queued without a
checkpoint, so no trade falls in between.
"""

from collections.abc import Awaitable, Callable, Sequence

import trio
from trio_websocket import WebSocketConnection

from gapless.simulator.messages import StreamKey
from gapless.simulator.seams import Cut
from gapless.simulator.served import Caller, Conversation
from gapless.simulator.session import Session
from gapless.simulator.venues.coinbase.limits import CoinbaseLimits, CoinbaseOptions
from gapless.simulator.venues.coinbase.requests import BadRequestError, read_request
from gapless.simulator.venues.coinbase.wire import Channel, ErrorMessage, Subscriptions, match_frame, spoken
from gapless.simulator.venues.limits import TokenBucket
from gapless.simulator.venues.market import VenueMarket


class CoinbaseConversation(Conversation):
    """Talks to one client."""

    def __init__(
        self, market: VenueMarket, session: Session, caller: Caller, limits: CoinbaseLimits, options: CoinbaseOptions
    ) -> None:
        self._market = market
        self._session = session
        self._address = caller.address
        self._limits = limits
        self._options = options
        self._said = TokenBucket(limits.messages_per_s, limits.messages_burst)
        self._subscribed = False

    def begin(self) -> None:
        """Nothing is said: the client has to subscribe."""

    def receive(self, text: str | bytes) -> None:
        """One message; what cannot be understood is answered, too."""
        if self._session.is_cut:
            return
        if self._said.take("", trio.current_time()):
            self._market.violated(self._address, "messages", f"more than {self._limits.messages_per_s:g} a second")
            self._refuse("Rate limit exceeded")
            self._session.send(Cut("too many messages"))
            return
        try:
            verb, keys = read_request(text, self._market.symbols, tuple(self._session.marks))
            if verb == "subscribe":
                self._check(keys)
        except BadRequestError as error:
            self._refuse(str(error), error.reason)
            return
        if verb == "subscribe":
            self._subscribed = True
            self._begin(keys)
        else:
            for key in keys:
                self._market.mute(self._session, key.channel, key.symbol)
            self._acknowledge("UNSUBSCRIBED")

    def duties(self, socket: WebSocketConnection) -> Sequence[Callable[[], Awaitable[None]]]:  # noqa: ARG002
        """The end of a client that subscribes nothing."""
        return (self._expect_subscription,)

    def _check(self, keys: list[StreamKey]) -> None:
        withheld = self._market.rejected(self._session, keys)
        if withheld:
            code, said = next(iter(withheld.values()))
            raise BadRequestError("Failed to subscribe", f"{code}: {said}")

    def _begin(self, keys: list[StreamKey]) -> None:
        new = [key for key in keys if key not in self._session.marks]
        for key in new:
            self._market.listen(self._session, key.channel, key.symbol)
        lasts = [self._market.history(key.symbol).last for key in new if key.channel == "matches"]
        frames = [match_frame(last, "last_match") for last in lasts if last is not None]
        early = 0 if self._options.acknowledge == "first" else (len(frames) + 1) // 2
        for frame in frames[:early]:
            self._session.send(frame)
        self._acknowledge("SUBSCRIBED", *keys)
        for frame in frames[early:]:
            self._session.send(frame)

    def _acknowledge(self, kind: str, *begun: StreamKey) -> None:
        """All that is subscribed now, not only what was asked for."""
        channels: dict[str, list[str]] = {}
        for key in self._session.marks:
            channels.setdefault(key.channel, []).append(key.symbol)
        listed = Subscriptions(channels=[Channel(name, products) for name, products in channels.items()])
        self._session.send(spoken(kind, listed, *begun))

    def _refuse(self, message: str, reason: str = "") -> None:
        self._session.send(spoken("REJECTED", ErrorMessage(type="error", message=message, reason=reason)))

    async def _expect_subscription(self) -> None:
        await trio.sleep(self._limits.subscribe_within_s)
        if not self._subscribed:
            self._session.cut(f"nothing subscribed within {self._limits.subscribe_within_s:g} s")
