"""The numbers by which a recording names its streams and their series. Pure.

Numbers are given here, not by SQLite: a batch that could not be written is tried again with the same ones. There is one
recorder of a file at a time, so nobody else gives any.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

StreamKey: TypeAlias = tuple[str, str]
"""Channel and symbol."""
StreamRow: TypeAlias = tuple[int, str, str]
"""Number, channel, symbol."""
SeriesRow: TypeAlias = tuple[int, int, str, int, bool]
"""Number, stream, epoch (empty: the venue names none), part, whether it is owed from id 1."""


@dataclass(slots=True)
class Names:
    """What is known of a file, and what the batch that is being made adds to it."""

    _new_streams: list[StreamRow] = field(default_factory=list)
    _new_series: list[SeriesRow] = field(default_factory=list)
    _streams: dict[StreamKey, int] = field(default_factory=dict)
    _series: dict[tuple[str, str, str | None], int] = field(default_factory=dict)
    _parts: dict[tuple[int, str], int] = field(default_factory=dict)
    _series_last: int = 0

    @classmethod
    def of(cls, streams: Iterable[StreamRow], series: Iterable[SeriesRow]) -> "Names":
        """What a file says; series in the order of their parts."""
        names = cls()
        keys: dict[int, StreamKey] = {}
        for number, channel, symbol in streams:
            names._streams[channel, symbol] = number
            keys[number] = channel, symbol
        for number, stream, epoch, part, _from_first in series:
            names._parts[stream, epoch] = max(part, names._parts.get((stream, epoch), 0))
            names._series[*keys[stream], epoch or None] = number
            names._series_last = max(number, names._series_last)
        return names

    def stream(self, channel: str, symbol: str) -> int:
        """The number of a stream, given now where it has none."""
        number = self._streams.get((channel, symbol))
        if number is None:
            number = self._streams[channel, symbol] = len(self._streams) + 1
            self._new_streams.append((number, channel, symbol))
        return number

    def series(self, channel: str, symbol: str, epoch: str | None) -> int:
        """The number of a stream's present series in an epoch, given now where it has none."""
        number = self._series.get((channel, symbol, epoch))
        return self.begins(channel, symbol, epoch, from_first=False) if number is None else number

    def has_series(self, channel: str, symbol: str, epoch: str | None) -> bool:
        """Whether a stream has a series in an epoch."""
        return (channel, symbol, epoch) in self._series

    def begins(self, channel: str, symbol: str, epoch: str | None, *, from_first: bool) -> int:
        """The number of one more part: ids count anew, or the stream was not wanted for a while."""
        stream = self.stream(channel, symbol)
        text = epoch or ""
        part = self._parts[stream, text] = self._parts.get((stream, text), 0) + 1
        self._series_last += 1
        self._new_series.append((self._series_last, stream, text, part, from_first))
        self._series[channel, symbol, epoch] = self._series_last
        return self._series_last

    def take_new(self) -> tuple[list[StreamRow], list[SeriesRow]]:
        """The rows of what was given a number since the last time."""
        added = self._new_streams, self._new_series
        self._new_streams, self._new_series = [], []
        return added
