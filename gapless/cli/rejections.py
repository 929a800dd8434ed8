"""Whether the venue takes any of the streams that are watched, as far as the events tell. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

from gapless.controller import (
    AnyEvent,
    BalanceUpdate,
    MarketData,
    OrderUpdate,
    State,
    StateChanged,
    Stream,
    StreamRejected,
)

_NAMED_MAX: Final = 4
"""Streams named one by one; more would not fit on a line."""


class Rejections:
    """The streams that stand rejected.

    Args:
        streams: all that are watched.
    """

    def __init__(self, streams: Sequence[Stream]) -> None:
        self.streams = streams
        self._reasons: dict[Stream, str] = {}
        self._is_said = False

    def are_all(self) -> bool:
        """Whether every stream stands rejected: nothing can come."""
        return len(self._reasons) == len(self.streams)

    def add(self, events: Iterable[AnyEvent]) -> str | None:
        """Count one batch; a line where every stream stands rejected now, once until something comes after all."""
        for event in events:
            if isinstance(event, MarketData | OrderUpdate | BalanceUpdate):
                self._is_said = False
                if self._reasons:
                    self._reasons.pop(Stream(event.channel, event.symbol), None)
            elif isinstance(event, StreamRejected):
                self._reasons[Stream(event.channel, event.symbol)] = " ".join(f"{event.code}: {event.message}".split())
            elif isinstance(event, StateChanged) and event.after is State.RECONNECTING:
                self._reasons.clear()  # the new connection asks for all of them
        if self._is_said or not self.are_all():
            return None
        self._is_said = True
        named = [f"{stream} ({reason})" for stream, reason in self._reasons.items()]
        more = f" and {len(named) - _NAMED_MAX} more" if len(named) > _NAMED_MAX else ""
        return f"every stream was rejected: {', '.join(named[:_NAMED_MAX])}{more}; each new connection asks again"
