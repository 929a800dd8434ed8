"""What most venues answer alike: the beginning of an adapter.

An adapter of a venue with public market data has to say: :meth:`~BaseExchange.sequence_rule`, ``subscribe``,
``unsubscribe``, ``ping``, ``decode``, and for gaps to be filled ``history_request`` and ``decode_history``. The rest is
here, and is replaced where the venue differs.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import urlunsplit

import httpx

from gapless.controller.errors import ConfigurationError
from gapless.controller.exchange import (
    Budget,
    HistoryPage,
    HistoryQuery,
    Message,
    Outcome,
    ReplyReading,
    RestReply,
    SequenceRule,
    Snapshot,
)
from gapless.controller.exchanges.addresses import canonical_host, checked_url
from gapless.controller.stream import Stream

_TOO_MANY_REQUESTS = frozenset({HTTPStatus.IM_A_TEAPOT, HTTPStatus.TOO_MANY_REQUESTS})
"""418, with which Binance bans who did not heed 429."""


class BaseExchange(ABC):
    """A venue that has no accounts, no epochs, no greeting, and limits nobody told us.

    Args:
        ws_url: where to dial, ``ws://`` or ``wss://``.
        rest_url: ``http://`` or ``https://``; paths are put behind it.

    Raises:
        ConfigurationError: an address that cannot be one.
    """

    channels: frozenset[str] = frozenset()
    """The channels there are; empty: any."""
    budget: Budget | None = None
    connect_budget: Budget | None = None
    send_budget: Budget | None = None
    streams_max: int | None = None
    rotate_after_s: float | None = None
    ids_restart: bool = False
    page_rows_max: int = 1000

    def __init__(self, *, ws_url: str, rest_url: str) -> None:
        checked_url("ws_url", ws_url, ("ws", "wss"))
        rest = checked_url("rest_url", rest_url, ("http", "https"))
        self.websocket_url: str = ws_url
        self.rest_host: str = canonical_host(rest)
        self._rest_url = urlunsplit((rest.scheme, rest.netloc, rest.path.rstrip("/"), "", ""))

    def check(self, stream: Stream) -> None:
        """The channel is one of :attr:`channels`."""
        if self.channels and stream.channel not in self.channels:
            known = ", ".join(sorted(self.channels))
            raise ConfigurationError(f"{stream}: there is no channel {stream.channel!r}; expected one of {known}")

    def is_account(self, stream: Stream) -> bool:  # noqa: ARG002
        """No stream is one."""
        return False

    def has_history(self, stream: Stream) -> bool:  # noqa: ARG002
        """Every stream has one."""
        return True

    @abstractmethod
    def sequence_rule(self, stream: Stream) -> SequenceRule:
        """What the ids of this stream tell."""

    def greeting(self) -> Sequence[str]:
        """Nothing is said first."""
        return ()

    @abstractmethod
    def subscribe(self, streams: Sequence[Stream], request_id: str) -> Sequence[str]:
        """The frames that ask for these streams."""

    @abstractmethod
    def unsubscribe(self, streams: Sequence[Stream], request_id: str) -> Sequence[str]:
        """The frames that end these streams."""

    @abstractmethod
    def ping(self, request_id: str) -> str | None:
        """The frame that a Pong of the same id answers; None: the venue speaks by itself."""

    @abstractmethod
    def decode(self, frame: str | bytes) -> Message:
        """What a frame means."""

    def weight(self, request: httpx.Request) -> int:  # noqa: ARG002
        """Every request costs 1."""
        return 1

    @abstractmethod
    def history_request(self, query: HistoryQuery) -> httpx.Request:
        """The request for a page of history."""

    def read_reply(self, reply: RestReply) -> ReplyReading:
        """By its status alone."""
        if reply.status == HTTPStatus.OK:
            outcome = Outcome.OK
        elif reply.status in _TOO_MANY_REQUESTS:
            outcome = Outcome.LIMITED
        else:
            outcome = Outcome.UNAVAILABLE if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR else Outcome.REFUSED
        return ReplyReading(outcome=outcome)

    @abstractmethod
    def decode_history(self, query: HistoryQuery, reply: RestReply) -> HistoryPage:
        """The page in a reply to this query."""

    def snapshot_request(self, stream: Stream) -> httpx.Request:
        """There are no accounts."""
        raise ConfigurationError(f"{stream}: this venue's adapter has no account streams")

    def decode_snapshot(self, stream: Stream, reply: RestReply) -> Snapshot:  # noqa: ARG002
        """There are no accounts."""
        raise ConfigurationError(f"{stream}: this venue's adapter has no account streams")
