"""The seam between a venue and the controller: sans-IO adapters.

An adapter builds frames and requests and decodes frames and replies. It owns no socket, no clock and no state that a
recorded trace could not reproduce, so recorded traffic tests it. The controller speaks to it only through
:class:`Exchange` and the neutral messages below.
"""

from collections.abc import Mapping, Sequence
from enum import Enum, unique
from typing import Protocol

import httpx
from msgspec import Struct

from gapless.controller.events import Balance, Order
from gapless.controller.stream import Stream


@unique
class SequenceRule(Enum):
    """What the ids of a stream tell."""

    CONTIGUOUS = "contiguous"
    """+1 each: a skipped id is a missing message. Exactly once or reported."""
    CHAINED = "chained"
    """Each message names the id before it (``prev_sequence_id``): a broken link is a hole, of unknown size."""
    MONOTONIC = "monotonic"
    """Ids only grow: what is lower was there before; what is missing shows only at a new connection."""
    UNSEQUENCED = "unsequenced"
    """No ids, or ids that tell nothing: every message is delivered, nothing is promised."""


class HistoryRow(Struct, frozen=True, kw_only=True):
    """One piece of market data as REST keeps it. ``sequence_id`` None: the venue gave none."""

    timestamp: str
    price: float
    sequence_id: int | None = None
    bid: float | None = None
    ask: float | None = None
    volume_24h: float | None = None


class MarketUpdate(HistoryRow, frozen=True, kw_only=True):
    """One piece of market data as it came over the WebSocket."""

    channel: str
    symbol: str
    prev_sequence_id: int | None = None
    """The id of the message before it, where the venue chains them."""


class AccountUpdate(Struct, frozen=True, kw_only=True):
    """One change of an order or a balance."""

    stream: Stream
    sequence_id: int | None
    content: Order | Balance


class Welcome(Struct, frozen=True, kw_only=True):
    """The connection's epoch; None where the venue has none."""

    epoch: str | None


class Subscribed(Struct, frozen=True, kw_only=True):
    """The venue took these streams. A mark is the last id issued before the subscription; None: it did not say.

    ``marks`` None: everything that was requested, without marks.
    """

    request_id: str | None
    marks: Mapping[Stream, int | None] | None


class Unsubscribed(Struct, frozen=True, kw_only=True):
    """The venue sends these streams no more; None: everything that was requested."""

    request_id: str | None
    streams: Sequence[Stream] | None


class Rejected(Struct, frozen=True, kw_only=True):
    """The venue refused these streams; None: those that it did not take."""

    request_id: str | None
    streams: Sequence[Stream] | None
    code: str
    message: str


class Pong(Struct, frozen=True, kw_only=True):
    """The answer to the PING of this id."""

    request_id: str


class Goodbye(Struct, frozen=True, kw_only=True):
    """The venue will close the connection and asks not to be dialled for ``retry_after_s``."""

    reason: str
    retry_after_s: float


class Ignored(Struct, frozen=True, kw_only=True):
    """A well-formed message that means nothing to the controller."""

    kind: str


Message = MarketUpdate | AccountUpdate | Welcome | Subscribed | Unsubscribed | Rejected | Pong | Goodbye | Ignored
"""What a frame can decode to."""


class HistoryQuery(Struct, frozen=True, kw_only=True):
    """A page of history: by id range, by time range (RFC 3339 in UTC), or both. Ends inclusive, oldest rows first."""

    stream: Stream
    limit: int
    start_seq: int | None = None
    end_seq: int | None = None
    start: str | None = None
    end: str | None = None


class HistoryPage(Struct, frozen=True, kw_only=True):
    """A reply: rows oldest first, and the ids ``first_seq..last_seq`` that are still kept (None: not said).

    ``last_seq`` is at least every id already sent on a socket; what lies below ``first_seq`` is gone for good.
    """

    rows: Sequence[HistoryRow]
    epoch: str | None = None
    first_seq: int | None = None
    last_seq: int | None = None


class Snapshot(Struct, frozen=True, kw_only=True):
    """All orders or balances, covering every update up to ``sequence_id`` (None: the venue did not say)."""

    contents: Sequence[Order | Balance]
    sequence_id: int | None = None


class RestReply(Struct, frozen=True, kw_only=True):
    """An HTTP reply, read whole. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Exchange(Protocol):
    """A venue. Frames are text or bytes as the socket gives them.

    Raises, where it decodes: :class:`~gapless.controller.errors.InvalidMessageError` for a frame and
    :class:`~gapless.controller.errors.InvalidReplyError` for a reply, saying what was expected and what came.
    """

    @property
    def websocket_url(self) -> str:
        """Where to dial."""
        ...

    @property
    def rest_host(self) -> str:
        """``host:port`` of the REST server: one rate limiter serves all who name the same.

        Canonical, so that one server has one name: lower case, the port always, no user and no password.
        """
        ...

    @property
    def budget(self) -> tuple[int, float] | None:
        """What the REST host allows: requests (their weight) in a window of so many seconds; None: not known.

        Each takes the place of a setting left at its default, ``rate_limit_requests`` and ``rate_limit_window``.
        """
        ...

    @property
    def page_rows_max(self) -> int:
        """The most rows a page of history can hold."""
        ...

    def check(self, stream: Stream) -> None:
        """Refuse a stream that can never work, with ConfigurationError; called before anything is dialled."""
        ...

    def is_account(self, stream: Stream) -> bool:
        """Whether the stream carries the user's own orders or balances, which snapshots heal."""
        ...

    def has_history(self, stream: Stream) -> bool:
        """Whether REST can fill gaps of this market stream."""
        ...

    def sequence_rule(self, stream: Stream) -> SequenceRule:
        """What the ids of this stream tell; asked once, when it is subscribed."""
        ...

    def subscribe(self, streams: Sequence[Stream], request_id: str) -> Sequence[str]:
        """The frames that ask for these streams."""
        ...

    def unsubscribe(self, streams: Sequence[Stream], request_id: str) -> Sequence[str]:
        """The frames that end these streams."""
        ...

    def ping(self, request_id: str) -> str:
        """The frame that a :class:`Pong` of the same id answers."""
        ...

    def decode(self, frame: str | bytes) -> Message:
        """What a frame means.

        An adapter may have a ``market_decoder`` besides: a msgspec decoder whose struct for market data is a
        :class:`MarketUpdate`, which is what this method makes of such a frame, too. It saves a call per message; all
        else that it decodes or refuses is given to this method.
        """
        ...

    def weight(self, request: httpx.Request) -> int:
        """What a request costs of the host's budget, at least 1."""
        ...

    def history_request(self, query: HistoryQuery) -> httpx.Request:
        """The request for a page of history."""
        ...

    def decode_history(self, reply: RestReply) -> HistoryPage:
        """The page in a reply of status 200."""
        ...

    def snapshot_request(self, stream: Stream) -> httpx.Request:
        """The request for the snapshot behind an account stream."""
        ...

    def decode_snapshot(self, stream: Stream, reply: RestReply) -> Snapshot:
        """The snapshot in a reply of status 200."""
        ...
