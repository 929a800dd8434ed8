"""What one connection was asked to send, and what the venue's answers mean. Pure.

The desired streams are the controller's; this is what of them one socket has been asked for. An answer names its
request, or nobody's: then it concerns every stream that still waits. A REJECTED that names no streams means those that
SUBSCRIBED omits, so it is kept until SUBSCRIBED has come, or for a grace period if none comes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gapless.controller.exchange import Rejected, Subscribed
from gapless.controller.stream import Stream
from gapless.controller.subscription import Subscription


@dataclass(slots=True)
class _Request:
    """One SUBSCRIBE and the streams in it that still wait for an answer, in order."""

    waiting: dict[Stream, None]
    acknowledged: bool = False
    nameless: Rejected | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The venue refused these streams."""

    streams: Sequence[Stream]
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What must be said to bring a connection in line with what is desired: first the ends, then the beginnings."""

    end: Sequence[Stream]
    begin: Sequence[Subscription]


class SubscriptionDialog:
    """The subscriptions of one connection.

    Args:
        prefix: of the request ids, so that no two connections share one.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._asked: dict[Stream, int] = {}
        self._requests: dict[str, _Request] = {}
        self._numbered = 0

    @property
    def all_answered(self) -> bool:
        """Whether every stream that was asked for was taken or refused."""
        return not any(request.waiting for request in self._requests.values())

    @property
    def has_nameless(self) -> bool:
        """Whether a REJECTED without names waits for its SUBSCRIBED."""
        return any(request.nameless is not None for request in self._requests.values())

    def change(self, desired: Iterable[Subscription]) -> Change:
        """What this connection has not been told yet; :meth:`asked` and :meth:`ended` note that it was."""
        wanted = {each.stream: each for each in desired}
        end = [stream for stream, token in self._asked.items() if stream not in wanted or wanted[stream].token != token]
        begin = [each for stream, each in wanted.items() if self._asked.get(stream) != each.token]
        return Change(end=end, begin=begin)

    def next_id(self) -> str:
        """An id for the next request."""
        self._numbered += 1
        return f"{self._prefix}-{self._numbered}"

    def asked(self, request_id: str, subscriptions: Sequence[Subscription]) -> None:
        """SUBSCRIBE is about to be sent."""
        self._asked |= {each.stream: each.token for each in subscriptions}
        self._requests[request_id] = _Request(dict.fromkeys(each.stream for each in subscriptions))

    def ended(self, streams: Iterable[Stream]) -> None:
        """UNSUBSCRIBE is about to be sent: an answer is awaited no more."""
        for stream in streams:
            self._asked.pop(stream, None)
            self._answered(stream)

    def taken(self, message: Subscribed) -> Mapping[Stream, int | None]:
        """The streams that SUBSCRIBED takes, each with its mark. Then :meth:`refusals` may have something to say."""
        requests = self._concerned(message.request_id)
        marks = message.marks
        if marks is None:
            # Of a request of several frames one may have been refused, and with it nobody knows which streams.
            marks = {stream: None for request in requests if not request.nameless for stream in request.waiting}
        else:
            # A stream that was given up and asked for again is answered by the request that asked for it last; one that
            # this request was refused before is taken after all.
            others = [each for each in self._requests.values() if all(each is not one for one in requests)]
            elsewhere = {stream for request in others for stream in request.waiting}
            marks = {stream: mark for stream, mark in marks.items() if stream not in elsewhere}
        for stream in marks:
            self._answered(stream)
        for request in requests:
            request.acknowledged = True
        return marks

    def refused(self, message: Rejected) -> Refusal | None:
        """The streams that REJECTED refuses; None while it takes SUBSCRIBED to know them."""
        if message.streams is not None:
            for stream in message.streams:
                self._answered(stream)
            return Refusal(streams=message.streams, code=message.code, message=message.message)
        for request in self._concerned(message.request_id):
            request.nameless = message
        return None

    def refusals(self, *, grace_over: bool = False) -> list[Refusal]:
        """What REJECTED without names turns out to mean, now that SUBSCRIBED has come, or none comes any more."""
        found: list[Refusal] = []
        for request in self._requests.values():
            if request.nameless is not None and (request.acknowledged or grace_over):
                streams = list(request.waiting)
                request.waiting.clear()
                found.append(Refusal(streams=streams, code=request.nameless.code, message=request.nameless.message))
                request.nameless = None
        self._forget_answered()
        return found

    def _concerned(self, request_id: str | None) -> list[_Request]:
        request = self._requests.get(request_id) if request_id is not None else None
        return list(self._requests.values()) if request is None else [request]

    def _answered(self, stream: Stream) -> None:
        for request in self._requests.values():
            request.waiting.pop(stream, None)

    def _forget_answered(self) -> None:
        """Keep the last request: a REJECTED without names may still follow."""
        answered = [name for name, request in self._requests.items() if not request.waiting and not request.nameless]
        for name in answered[:-1]:
            del self._requests[name]
