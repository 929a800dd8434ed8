"""When, by the venue's clock, what an app has yet to be given was. Pure.

Ids alone do not say where to look for what is missing: some venues are asked by time, and some have no ids at all.
Every time here is a lower bound. What lies in holes is not older than ``holes_since``, what follows ``next_id`` is not
older than the cursor's ``timestamp``; asked from there on, REST shows at least what is owed, and what it shows besides
is known by its id, or among ``seen``.
"""

from collections.abc import Iterable, Mapping
from itertools import islice
from math import isfinite
from typing import Annotated, Final, get_args

from msgspec import Meta, Struct

from gapless.controller.events import ContinuityLost, MarketData, StreamReset
from gapless.controller.instants import instant
from gapless.controller.repeats import RowKey
from gapless.controller.stats import LossReason
from gapless.controller.subscription import Subscription

SEEN_MAX: Final = 1_000
"""Rows that are told by their times and remembered in a cursor, as a rule those of the last instant alone; of more, the
oldest would come twice. A page holds as many, and at 60 bytes each a cursor stays small."""
_UNTOLD: Final[Mapping[str, LossReason]] = {each: each for each in get_args(LossReason) if each != "epoch_ended"}
"""Why ids may be lost while their epoch goes on."""


class Times(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of one stream, besides the cursor's ``timestamp``; RFC 3339, empty: not known, or of no use.

    Attributes:
        begun_at: before any datum, when what is owed began.
        holes_since: what lies in the holes is not older.
        holes_until: nor newer; empty: up to now.
        by_time: whether only times tell the stream's rows apart.
        seen: rows of the time that is asked for again, which the app was given: Unix seconds, price, bid, ask, a mark.
    """

    begun_at: str = ""
    holes_since: str = ""
    holes_until: str = ""
    by_time: bool = False
    seen: Annotated[list[RowKey], Meta(max_length=SEEN_MAX)] = []


class TimesBack:
    """The times of one stream, taken back event by event over what the app was not given."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self._data: list[MarketData] = []
        """What was taken back of the epoch in hand."""
        self._later: list[MarketData] = []
        """What was taken back of later ones."""
        self.lost: list[tuple[int, int, LossReason]] = []
        """The newest first, of a stream that leaves ids out: no time tells where they were, so they are reported again
        rather than asked for."""
        self._has_losses = False

    def undo(self, event: MarketData | ContinuityLost | StreamReset) -> bool:
        """Take one event back; whether that is all, for it says nothing about what is missing."""
        subscription = self._subscription
        match event:
            case MarketData():
                self._data.append(event)
            case StreamReset() | ContinuityLost(end_seq=None):
                self._later += self._data
                self._data.clear()
                self.lost.clear()
            case ContinuityLost(start_seq=start, end_seq=int(end), reason=reason):
                self._has_losses = True
                if subscription.ledger.is_sparse and not subscription.by_time and reason in _UNTOLD:
                    self.lost.append((start, end, _UNTOLD[reason]))
                    return True
        return False

    def timestamp(self, next_id: int | None) -> str:
        """What follows ``next_id`` is not older."""
        subscription = self._subscription
        ahead = [
            each.timestamp
            for each in self._data
            if next_id is None or each.sequence_id is None or each.sequence_id >= next_id
        ]
        if next_id is not None and any(end >= next_id for _start, end in self._gaps()):
            ahead.append(subscription.hole_since)
        return _oldest([*ahead, *(each.timestamp for each in self._later)]) or subscription.last_timestamp

    def times(self, next_id: int | None, timestamp: str, *, has_holes: bool, began_at: str, lists: bool) -> Times:
        """All the others.

        Args:
            next_id: of the cursor.
            timestamp: of the cursor.
            has_holes: whether there are any below ``next_id``.
            began_at: when the controller did.
            lists: whether rows may have to be told by their times.
        """
        subscription = self._subscription
        lists = lists or subscription.by_time
        since = until = ""
        if has_holes:
            since = self._holes_since(next_id) or timestamp or subscription.begun_at or began_at
            if lists and not self._has_losses:
                until = subscription.hole_until
        return Times(
            begun_at="" if timestamp else subscription.begun_at or began_at,
            holes_since=since,
            holes_until=until,
            by_time=subscription.by_time,
            seen=self._seen(timestamp, since, until) if lists else [],
        )

    def _holes_since(self, next_id: int | None) -> str:
        subscription = self._subscription
        behind = [
            each.timestamp
            for each in self._data
            if subscription.by_time or (next_id is not None and (each.sequence_id or 0) < next_id)
        ]
        if subscription.ledger.gaps or subscription.ledger.tentative:
            behind.append(subscription.hole_since)
        return _oldest(behind)

    def _gaps(self) -> Iterable[tuple[int, int]]:
        ledger = self._subscription.ledger
        yield from ledger.gaps
        yield from ledger.tentative

    def _seen(self, timestamp: str, since: str, until: str) -> list[RowKey]:
        subscription = self._subscription
        polled, low = instant(timestamp), instant(since or timestamp)
        high = instant(until) if until else float("inf")
        unseen = {subscription.row_key(each) for each in (*self._later, *self._data)}
        keys = subscription.repeats.back_to(min(polled, low))
        seen = (
            key for key in keys if (key[0] >= polled or low <= key[0] <= high) and key not in unseen and _is_plain(key)
        )
        return list(islice(seen, SEEN_MAX))[::-1]


def _oldest(times: Iterable[str]) -> str:
    return min((each for each in times if each), key=instant, default="")


def _is_plain(key: RowKey) -> bool:
    """Whether it is the same again after it was JSON."""
    return all(isfinite(each) for each in key if each is not None)
