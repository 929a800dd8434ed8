"""What most venues answer alike: the beginning of an adapter.

An adapter of a venue with public market data has to say: ``rule``, ``subscribe``, ``unsubscribe``, ``ping``,
``decode``, and for gaps to be filled ``history_request`` and ``decode_history``. The rest is here, and is replaced
where the venue differs.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import ClassVar
from urllib.parse import urlunsplit

import httpx
import msgspec
from msgspec import Struct

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
from gapless.controller.exchanges.texts import UNDECODABLE
from gapless.controller.stream import Stream

_TOO_MANY_REQUESTS = frozenset({HTTPStatus.IM_A_TEAPOT, HTTPStatus.TOO_MANY_REQUESTS})
"""418, with which Binance bans who did not heed 429."""


class _Words(Struct, frozen=True):
    code: int | str | None = None
    msg: str = ""
    message: str = ""


_WORDS = msgspec.json.Decoder(_Words)


def outcome_of(status: int) -> Outcome:
    """What a reply of this HTTP status is good for."""
    if status == HTTPStatus.OK:
        return Outcome.OK
    if status in _TOO_MANY_REQUESTS:
        return Outcome.LIMITED
    return Outcome.UNAVAILABLE if status >= HTTPStatus.INTERNAL_SERVER_ERROR else Outcome.REFUSED


class BaseExchange(ABC):
    """A venue that has no accounts, no epochs, no greeting, and limits nobody told us.

    Args:
        ws_url: where to dial, ``ws://`` or ``wss://``; None: the venue's own address.
        rest_url: ``http://`` or ``https://``, paths are put behind it; None: the venue's own address.
        headers: sent with every REST request, such as an API key where a deployment asks for one.

    Raises:
        ConfigurationError: an address that cannot be one, or none where the venue has none of its own.
    """

    name: ClassVar[str] = ""
    """Of the venue, as cursors have it; empty: none."""
    rule: ClassVar[SequenceRule] = SequenceRule.CONTIGUOUS
    own_ws_url: ClassVar[str] = ""
    own_rest_url: ClassVar[str] = ""
    channels: ClassVar[frozenset[str]] = frozenset()
    """The channels there are; empty: any."""
    symbol_like: ClassVar[tuple[str, str]] = (".+", "")
    """What a symbol is: a regular expression, and an example."""
    budget: Budget | None = None
    connect_budget: Budget | None = None
    send_budget: Budget | None = None
    streams_max: int | None = None
    rotate_after_s: float | None = None
    ids_restart: bool = False
    history_by_time: bool = False
    page_rows_max: int = 1000

    def __init__(
        self, *, ws_url: str | None = None, rest_url: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self._headers = dict(headers or {})
        ws_url = self.own_ws_url if ws_url is None else ws_url
        checked_url("ws_url", ws_url, ("ws", "wss"))
        rest = checked_url("rest_url", self.own_rest_url if rest_url is None else rest_url, ("http", "https"))
        self.websocket_url: str = ws_url
        self.rest_host: str = canonical_host(rest)
        self._rest_url = urlunsplit((rest.scheme, rest.netloc, rest.path.rstrip("/"), "", ""))

    def check(self, stream: Stream) -> None:
        """The channel is one of :attr:`channels`, the symbol is like :attr:`symbol_like`."""
        if self.channels and stream.channel not in self.channels:
            known = ", ".join(sorted(self.channels))
            raise ConfigurationError(f"{stream}: there is no channel {stream.channel!r}; expected one of {known}")
        pattern, example = self.symbol_like
        if re.fullmatch(pattern, stream.symbol, re.ASCII | re.DOTALL) is None:
            raise ConfigurationError(f"{stream}: expected a symbol like {example}, got {stream.symbol!r}")

    def is_account(self, stream: Stream) -> bool:  # noqa: ARG002
        """No stream is one."""
        return False

    def has_history(self, stream: Stream) -> bool:  # noqa: ARG002
        """Every stream has one."""
        return True

    def sequence_rule(self, stream: Stream) -> SequenceRule:  # noqa: ARG002
        """For every stream the same, :attr:`rule`."""
        return self.rule

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

    def get(self, path: str, params: Mapping[str, str]) -> httpx.Request:
        """A GET request to the venue."""
        return httpx.Request("GET", f"{self._rest_url}{path}", params=dict(params), headers=self._headers)

    def by_id_alone(self, query: HistoryQuery) -> None:
        """Refuse a range of times, which only ``price_history`` asks for.

        Raises:
            ConfigurationError: there is one.
        """
        if query.start is not None or query.end is not None:
            raise ConfigurationError(f"{query.stream}: this venue's history goes by id: leave out start and end")

    @abstractmethod
    def history_request(self, query: HistoryQuery) -> httpx.Request:
        """The request for a page of history."""

    def read_reply(self, reply: RestReply) -> ReplyReading:
        """By its status; of an error, the words of a body like ``{"code": -1121, "msg": "Invalid symbol."}``."""
        outcome = outcome_of(reply.status)
        if outcome is Outcome.OK:
            return ReplyReading(outcome=outcome)
        try:
            words = _WORDS.decode(reply.body)
        except UNDECODABLE:
            words = _Words()
        code = str(reply.status if words.code is None else words.code)
        return ReplyReading(outcome=outcome, code=code, message=words.msg or words.message or "without words")

    @abstractmethod
    def decode_history(self, query: HistoryQuery, reply: RestReply) -> HistoryPage:
        """The page in a reply to this query."""

    def snapshot_request(self, stream: Stream) -> httpx.Request:
        """There are no accounts."""
        raise ConfigurationError(f"{stream}: this venue's adapter has no account streams")

    def decode_snapshot(self, stream: Stream, reply: RestReply) -> Snapshot:  # noqa: ARG002
        """There are no accounts."""
        raise ConfigurationError(f"{stream}: this venue's adapter has no account streams")
