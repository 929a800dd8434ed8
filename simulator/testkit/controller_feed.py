"""A controller and everything it has handed to the app so far."""

from collections.abc import AsyncIterator

import trio
import trio.testing

from gapless.controller import AnyEvent, ConnectionController, State
from gapless.simulator.expected import require
from gapless.simulator.testkit.recording import WITHIN_S, Recording

SESSION = "test-session"
"""The session id of a test's controller; failures are set for it alone."""


class ControllerFeed(Recording):
    """A recording of one controller's events.

    Either let :meth:`consume` run in a task, or let the app itself loop over this instead of over the controller:
    each event is recorded and handed on.

    Args:
        controller: whose events.
        session_id: what it calls itself at the exchange.
    """

    def __init__(self, controller: ConnectionController, session_id: str = SESSION) -> None:
        super().__init__()
        self.controller = controller
        self.session_id = session_id

    async def consume(self) -> None:
        """Take every event, until cancelled or the controller ends."""
        async for event in self.controller:
            self.record(event)

    def __aiter__(self) -> AsyncIterator[AnyEvent]:
        return self

    async def __anext__(self) -> AnyEvent:
        event = await anext(self.controller)
        self.record(event)
        return event

    async def until_state(self, state: State, within_s: float = WITHIN_S) -> None:
        """Wait until the controller is in a state, or has passed through it, and has settled there.

        Raises:
            WaitTimeoutError: it did not come.
            TypeError: that is no state.
        """
        require(state, State, "a state")
        with trio.move_on_after(within_s) as waiting:
            await self.controller.wait_for(state)
        if waiting.cancelled_caught:
            raise self.timed_out(state.name, within_s)
        await trio.testing.wait_all_tasks_blocked()

    def situation(self) -> str:
        """Where the controller is, in words."""
        gaps = {str(stream): list(gaps) for stream, gaps in self.controller.open_gaps.items()}
        return (
            f"{super().situation()}, generation {self.controller.generation}, "
            f"{self.controller.events_held} events wait for the app, open gaps: {gaps or 'none'}"
        )
