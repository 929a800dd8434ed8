"""What an app has seen, be it in this process or in another."""

from collections.abc import Callable
from typing import Final, TypeVar

import trio

from gapless.controller import AnyEvent, ContinuityLost, Event, MarketData, State, StateChanged

PATIENCE_S: Final = 30.0
"""Longer than anything here takes on a busy machine, except where a test waits for its own reasons."""

EventT = TypeVar("EventT", bound=Event)


class Seen:
    """Every event so far, in order."""

    def __init__(self) -> None:
        self.events: list[AnyEvent] = []
        self._heard = trio.Event()

    def record(self, event: AnyEvent) -> None:
        self.events.append(event)
        self._heard.set()
        self._heard = trio.Event()

    def of(self, kind: type[EventT]) -> list[EventT]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def data(self) -> list[MarketData]:
        return self.of(MarketData)

    @property
    def lost(self) -> list[ContinuityLost]:
        return self.of(ContinuityLost)

    @property
    def moves(self) -> list[StateChanged]:
        return self.of(StateChanged)

    def moved(self, to: State) -> list[StateChanged]:
        return [move for move in self.moves if move.after is to]

    def last_id(self, epoch: str) -> int:
        """The highest id of an epoch that came."""
        return max((datum.sequence_id or 0 for datum in self.data if datum.epoch == epoch), default=0)

    async def until(self, condition: Callable[[], bool], within_s: float = PATIENCE_S) -> None:
        """Wait until something was seen."""
        with trio.fail_after(within_s):
            while not condition():
                await self._heard.wait()

    async def until_state(self, state: State) -> None:
        """Wait until this is the last state that was seen."""
        await self.until(lambda: bool(self.moves) and self.moves[-1].after is state)

    async def until_id(self, epoch: str, sequence_id: int) -> None:
        """Wait until this id, or a later one, was seen."""
        await self.until(lambda: self.last_id(epoch) >= sequence_id)
