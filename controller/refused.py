"""What the books have moved past and the app will never be given, because its buffer has failed. Pure.

Nothing new is taken then, but what has to move moves: a socket that comes back tells a mark, an epoch ends, a stream
without history loses what it missed. A cursor must count all of that as not consumed, so it is kept, in few events:
ranges that continue each other are one, and after as many epochs as a cursor tells the rest adds nothing.
"""

from collections import Counter
from collections.abc import Iterator

from msgspec.structs import replace

from gapless.controller.cursor import EPOCHS_MAX
from gapless.controller.events import AnyEvent, ContinuityLost, MarketData, StreamReset

_Moving = MarketData | ContinuityLost | StreamReset
"""What tells where an app is in a stream."""


class Refused:
    """Per stream what came after the failure, oldest first."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, str], list[_Moving]] = {}
        self._resets: Counter[tuple[str, str]] = Counter()

    def __iter__(self) -> Iterator[_Moving]:
        return (event for events in self._of.values() for event in events)

    def note(self, event: AnyEvent) -> None:
        """One event will not be handed over."""
        if not isinstance(event, _Moving):
            return
        key = (event.channel, event.symbol)
        if self._resets[key] > EPOCHS_MAX:
            return
        self._resets[key] += isinstance(event, StreamReset)
        events = self._of.setdefault(key, [])
        joined = _joined(events[-1], event) if events else None
        if joined is None:
            events.append(event)
        else:
            events[-1] = joined


def _joined(before: _Moving, event: _Moving) -> ContinuityLost | None:
    """Both as one loss, where they continue each other. Not the last words on an epoch, nor the first on the next."""
    if not isinstance(before, ContinuityLost) or not isinstance(event, ContinuityLost) or before.end_seq is None:
        return None
    continues = (before.epoch, before.reason, before.end_seq + 1) == (event.epoch, event.reason, event.start_seq)
    return replace(before, end_seq=event.end_seq) if continues and event.reason != "epoch_ended" else None
