"""What is said to a client and why: WELCOME, and the answers to SUBSCRIBE, UNSUBSCRIBE and PING.

Everything here is synchronous. A mark is read, the stream subscribed and the acknowledgement queued without a
checkpoint, so no id can be issued in between: none is lost between mark and stream, and none comes twice.
"""

from collections.abc import Iterable

import trio
from msgspec import UNSET

from gapless.simulator.messages import (
    Ping,
    Pong,
    Rejected,
    RequestId,
    StreamKey,
    StreamMark,
    Subscribe,
    Subscribed,
    Unsubscribed,
    Welcome,
    decode_client_message,
    encode,
)
from gapless.simulator.records import SubscriptionRecord
from gapless.simulator.reference import ReferenceExchange
from gapless.simulator.rejections import rejected
from gapless.simulator.served import Conversation
from gapless.simulator.session import Session


class Dialog(Conversation):
    """One connection to the reference exchange, in its own protocol."""

    def __init__(self, exchange: ReferenceExchange, session: Session) -> None:
        self._exchange = exchange
        self._session = session

    def begin(self) -> None:
        """WELCOME."""
        epoch = UNSET if self._exchange.config.literal else self._exchange.epoch
        server_time = self._exchange.server_time()
        self._session.send(encode(Welcome(session_id=self._session.session_id, epoch=epoch, server_time=server_time)))

    def receive(self, text: str | bytes) -> None:
        """SUBSCRIBE, UNSUBSCRIBE and PING."""
        exchange, session = self._exchange, self._session
        if session.is_cut:
            return  # It may belong to an epoch that is over; nothing said now would be heard.
        message = decode_client_message(text)
        match message:
            case Ping(request_id=request_id):
                session.send(encode(Pong(request_id=request_id, server_time=exchange.server_time())))
            case Subscribe(streams=streams, request_id=request_id):
                _subscribe(exchange, session, _each_once(streams), request_id)
            case _:
                _unsubscribe(exchange, session, _each_once(message.streams), message.request_id)


def _subscribe(exchange: ReferenceExchange, session: Session, keys: list[StreamKey], request_id: RequestId) -> None:
    accepted: list[StreamMark] = []
    refused: dict[tuple[str, str], list[StreamKey]] = {}
    wanted = [key for key in keys if key not in session.marks and exchange.refusal(key) is None]
    withheld = rejected(exchange.failures, session.session_id, wanted, trio.current_time())
    for key in keys:
        refusal = exchange.refusal(key) or withheld.get(key)
        if refusal is None and key not in session.marks and len(session.marks) >= exchange.config.streams_max:
            refusal = ("too_many_streams", f"a connection may subscribe {exchange.config.streams_max} streams")
        if refusal is None:
            accepted.append(_marked(exchange, key, _mark(exchange, session, key)))
        else:
            refused.setdefault(refusal, []).append(key)
    if accepted or not refused:
        session.send(encode(Subscribed(request_id=request_id, streams=accepted)))
    _reject(session, refused, request_id)


def _marked(exchange: ReferenceExchange, key: StreamKey, mark: int) -> StreamMark:
    """A stream in an acknowledgement; the literal form names no mark."""
    return StreamMark(key.channel, key.symbol, UNSET if exchange.config.literal else mark)


def _mark(exchange: ReferenceExchange, session: Session, key: StreamKey) -> int:
    """Subscribe a stream and return the last id issued before; one that is subscribed already keeps its mark."""
    if key not in session.marks:
        mark = exchange.last_id(key.channel, key.symbol)
        exchange.hub.listen(session, key, mark)
        exchange.subscriptions.append(
            SubscriptionRecord(
                session_id=session.session_id,
                epoch=exchange.epoch,
                channel=key.channel,
                symbol=key.symbol,
                mark=mark,
            )
        )
    return session.marks[key]


def _unsubscribe(exchange: ReferenceExchange, session: Session, keys: list[StreamKey], request_id: RequestId) -> None:
    ended: list[StreamMark] = []
    refused: dict[tuple[str, str], list[StreamKey]] = {}
    for key in keys:
        refusal = exchange.refusal(key)
        if refusal is None:
            exchange.hub.mute(session, key)
            ended.append(_marked(exchange, key, exchange.last_id(key.channel, key.symbol)))
        else:
            refused.setdefault(refusal, []).append(key)
    if ended or not refused:
        session.send(encode(Unsubscribed(request_id=request_id, streams=ended)))
    _reject(session, refused, request_id)


def _reject(session: Session, refused: dict[tuple[str, str], list[StreamKey]], request_id: RequestId) -> None:
    for (code, message), keys in refused.items():
        session.send(encode(Rejected(request_id=request_id, streams=keys, code=code, message=message)))


def _each_once(keys: Iterable[StreamKey]) -> list[StreamKey]:
    return list(dict.fromkeys(keys))
