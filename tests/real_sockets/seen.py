"""What an app has seen, be it in this process or in another."""

from collections.abc import Callable
from typing import Final

from gapless.controller import State
from gapless.simulator.testkit import Recording

PATIENCE_S: Final = 30.0
"""Longer than anything here takes on a busy machine, except where a test waits for its own reasons."""


class Seen(Recording):
    """Every event so far, in order; waits cost real time."""

    async def until(self, condition: Callable[[], bool], within_s: float = PATIENCE_S, *, what: str = "") -> None:
        """Wait until something was seen."""
        await super().until(condition, within_s, what=what)

    async def until_state(self, state: State, within_s: float = PATIENCE_S) -> None:
        """Wait until this is the last state that was seen."""
        await self.until(lambda: bool(self.moves) and self.state is state, within_s, what=state.name)

    def last_id(self, epoch: str) -> int:
        """The highest id of an epoch that came."""
        return max((datum.sequence_id or 0 for datum in self.data if datum.epoch == epoch), default=0)

    async def until_id(self, epoch: str, sequence_id: int) -> None:
        """Wait until this id, or a later one, was seen."""
        await self.until(lambda: self.last_id(epoch) >= sequence_id)
