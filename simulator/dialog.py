"""What a client's messages do: SUBSCRIBE, UNSUBSCRIBE and PING, answered as `protocol.md` says.

Everything here is synchronous. A mark is read, the stream subscribed and the acknowledgement queued without a
checkpoint, so no id can be issued in between: none is lost between mark and stream, and none comes twice.
"""

from collections.abc import Iterable

from gapless.simulator.exchange import ExchangeSimulator
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
    decode_client_message,
    encode,
)
from gapless.simulator.session import Session


def receive(exchange: ExchangeSimulator, session: Session, text: str | bytes) -> None:
    """Do what one message asks for.

    Raises:
        MalformedMessageError: it asks for nothing this protocol knows; nothing was done.
    """
    message = decode_client_message(text)
    match message:
        case Ping(request_id=request_id):
            session.send(encode(Pong(request_id=request_id, server_time=exchange.server_time())))
        case Subscribe(streams=streams, request_id=request_id):
            _subscribe(exchange, session, _each_once(streams), request_id)
        case _:
            _unsubscribe(exchange, session, _each_once(message.streams), message.request_id)


def _subscribe(exchange: ExchangeSimulator, session: Session, keys: list[StreamKey], request_id: RequestId) -> None:
    accepted: list[StreamMark] = []
    refused: dict[tuple[str, str], list[StreamKey]] = {}
    for key in keys:
        refusal = exchange.refusal(key)
        if refusal is None and key not in session.marks and len(session.marks) >= exchange.config.streams_max:
            refusal = ("too_many_streams", f"a connection may subscribe {exchange.config.streams_max} streams")
        if refusal is None:
            accepted.append(StreamMark(key.channel, key.symbol, exchange.subscribe(session, key)))
        else:
            refused.setdefault(refusal, []).append(key)
    if accepted or not refused:
        session.send(encode(Subscribed(request_id=request_id, streams=accepted)))
    _reject(session, refused, request_id)


def _unsubscribe(exchange: ExchangeSimulator, session: Session, keys: list[StreamKey], request_id: RequestId) -> None:
    ended: list[StreamMark] = []
    refused: dict[tuple[str, str], list[StreamKey]] = {}
    for key in keys:
        refusal = exchange.refusal(key)
        if refusal is None:
            ended.append(StreamMark(key.channel, key.symbol, exchange.unsubscribe(session, key)))
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
