"""The seam between a venue and the controller: sans-IO adapters.

An adapter builds frames and requests and decodes frames and replies. It owns no socket, no clock and no state that a
recorded trace could not reproduce, so recorded traffic tests it. The controller speaks to it only through
:class:`Exchange` and the neutral messages of :mod:`~gapless.controller.messages`. Whoever writes one begins with
:class:`~gapless.controller.exchanges.base.BaseExchange`, which answers what most venues answer alike.
"""

from collections.abc import Mapping, Sequence
from enum import Enum, unique
from typing import Protocol

import httpx
from msgspec import Struct

from gapless.controller.events import Balance, Order
from gapless.controller.messages import (
    AccountUpdate,
    Goodbye,
    HighWater,
    HistoryRow,
    Ignored,
    Leaving,
    MarketUpdate,
    Message,
    MustAnswer,
    Notice,
    Pong,
    Rejected,
    SequenceRule,
    Several,
    SingleMessage,
    Subscribed,
    TradeUpdate,
    Unsubscribed,
    Welcome,
)
from gapless.controller.stream import Stream

__all__ = [
    "AccountUpdate",
    "Budget",
    "Exchange",
    "Goodbye",
    "HighWater",
    "HistoryPage",
    "HistoryQuery",
    "HistoryRow",
    "Ignored",
    "Leaving",
    "MarketUpdate",
    "Message",
    "MustAnswer",
    "Notice",
    "Outcome",
    "Pong",
    "Rejected",
    "ReplyReading",
    "RestReply",
    "SequenceRule",
    "Several",
    "SingleMessage",
    "Snapshot",
    "Subscribed",
    "TradeUpdate",
    "Unsubscribed",
    "Welcome",
    "venue_name",
]

Budget = tuple[int, float]
"""So many in a window of so many seconds."""


class HistoryQuery(Struct, frozen=True, kw_only=True):
    """A page of history: by id range, by time range (RFC 3339 in UTC), or both. Ends inclusive, oldest rows first.

    With neither: from the oldest row kept on, where the venue's history goes by time (``history_by_time``); else the
    newest rows. With ``limit`` 1: where does the stream stand? The newest row says it, or ``last_seq`` of the page.

    Attributes:
        since: not a bound but a hint, for venues that are asked by time: when the last datum before ``start_seq`` was.
        cursor: where the page before, which said so, wants to be continued.
    """

    stream: Stream
    limit: int
    start_seq: int | None = None
    end_seq: int | None = None
    start: str | None = None
    end: str | None = None
    since: str | None = None
    cursor: str | None = None


class HistoryPage(Struct, frozen=True, kw_only=True):
    """A reply: rows oldest first, and the ids ``first_seq..last_seq`` that are still kept (None: not said).

    ``last_seq`` is at least every id already sent on a socket; what lies below ``first_seq`` is gone for good. Rows
    cover what was asked for from its beginning up to the last of them: what is not among them does not exist.

    Attributes:
        more: the page was cut at its limit: there may be newer rows, so ``last_seq`` is not known.
        cursor: how the next page is asked for, where ids cannot do it; with ``more``.
    """

    rows: Sequence[HistoryRow]
    epoch: str | None = None
    first_seq: int | None = None
    last_seq: int | None = None
    more: bool = False
    cursor: str | None = None


class Snapshot(Struct, frozen=True, kw_only=True):
    """All orders or balances, covering every update up to ``sequence_id`` (None: the venue did not say)."""

    contents: Sequence[Order | Balance]
    sequence_id: int | None = None


class RestReply(Struct, frozen=True, kw_only=True):
    """An HTTP reply, read whole. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@unique
class Outcome(Enum):
    """What a reply is good for."""

    OK = "ok"
    LIMITED = "limited"
    """Too many requests: everyone who talks to this host pauses."""
    UNAVAILABLE = "unavailable"
    """The venue has a problem of its own: again later."""
    REFUSED = "refused"
    """The same request will be refused again."""
    NO_SUCH_STREAM = "no such stream"
    """Refused, because the venue does not know what was asked about."""


class ReplyReading(Struct, frozen=True, kw_only=True):
    """What a reply says besides its rows.

    Attributes:
        code: the venue's own, with its ``message``; empty where it gave none.
        used: of the budget, what the host counted in its current window; None: it did not say.
        retry_after_s: for how long nobody should ask, where no ``Retry-After`` header says it; None: as usual.
    """

    outcome: Outcome
    code: str = ""
    message: str = ""
    used: int | None = None
    retry_after_s: float | None = None


def venue_name(exchange: "Exchange") -> str | None:
    """What a cursor calls the venue: its adapter's ``name``; None: it has none, and any cursor is taken for its own."""
    name: object = getattr(exchange, "name", None)
    return name if isinstance(name, str) and name else None


class Exchange(Protocol):
    """A venue. Frames are text or bytes as the socket gives them.

    An adapter may have a ``name`` besides, the venue's: a cursor of a venue of another name is refused.

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
    def budget(self) -> Budget | None:
        """What the REST host allows: requests (their weight) in a window of so many seconds; None: not known.

        Each takes the place of a setting left at its default, ``rate_limit_requests`` and ``rate_limit_window``.
        """
        ...

    @property
    def connect_budget(self) -> Budget | None:
        """How often the WebSocket host may be dialled, by all controllers of this process; None: not known."""
        ...

    @property
    def send_budget(self) -> Budget | None:
        """How many frames one socket may be sent; None: not known."""
        ...

    @property
    def streams_max(self) -> int | None:
        """How many streams one socket carries (``split_streams`` makes parts of more); None: not known."""
        ...

    @property
    def rotate_after_s(self) -> float | None:
        """The age at which a socket is to be replaced, before the venue cuts it; None: it lives for ever.

        Takes the place of the setting ``rotate_after`` left at its default.
        """
        ...

    @property
    def ids_restart(self) -> bool:
        """Whether ids may count from 1 again though the venue has no epochs that say so; told by the venue's times.

        False: a venue whose ids go on for ever, so that a lower one is a repeat, or corrupt.
        """
        ...

    @property
    def history_by_time(self) -> bool:
        """Whether history can be asked for from its beginning and by ranges of times, as ``price_history`` does."""
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

    def greeting(self) -> Sequence[str]:
        """Frames to say first on every socket, before any subscription."""
        ...

    def ping(self, request_id: str) -> str | None:
        """The frame that a :class:`Pong` of the same id answers.

        None: the venue has no such question. Then it must speak by itself at least once in ``heartbeat_timeout``: a
        socket that says nothing at all for so long is taken for dead.
        """
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

    def read_reply(self, reply: RestReply) -> ReplyReading:
        """What a reply is good for. Asked first, of each reply; only one that is ``OK`` is decoded."""
        ...

    def decode_history(self, query: HistoryQuery, reply: RestReply) -> HistoryPage:
        """The page in a reply to this query."""
        ...

    def snapshot_request(self, stream: Stream) -> httpx.Request:
        """The request for the snapshot behind an account stream."""
        ...

    def decode_snapshot(self, stream: Stream, reply: RestReply) -> Snapshot:
        """The snapshot in a reply."""
        ...
