"""What the books have moved past and the app will never be given, because its buffer has failed. Pure.

Nothing new is taken then, but what has to move moves: a socket that comes back tells a mark, an epoch ends, a stream
without history loses what it missed. A cursor must count all of that as not consumed, so it is kept, in few events:
what follows the end of an epoch adds nothing to where the app is, and ranges that continue each other are one.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from gapless.controller.events import AnyEvent, ContinuityLost, MarketData

_Moving = MarketData | ContinuityLost
"""What tells where an app is in a stream."""


class Refused:
    """Per stream what came after the failure, oldest first."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, str], list[_Moving]] = {}

    def __iter__(self) -> Iterator[_Moving]:
        return (event for events in self._of.values() for event in events)

    def note(self, event: AnyEvent) -> None:
        """One event will not be handed over."""
        if not isinstance(event, _Moving):
            return
        events = self._of.setdefault((event.channel, event.symbol), [])
        before = events[-1] if events else None
        if isinstance(before, ContinuityLost):
            if before.end_seq is None:
                return
            if isinstance(event, ContinuityLost) and (before.epoch, before.end_seq + 1) == (
                event.epoch,
                event.start_seq,
            ):
                events[-1] = replace(before, end_seq=event.end_seq)
                return
        events.append(event)
