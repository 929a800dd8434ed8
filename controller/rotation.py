"""When the socket that leads is to be replaced by a successor."""

from typing import Final

import trio
from loguru import logger

from gapless.controller.signal import Signal

AGAIN_AFTER_S: Final = 30.0
"""Seconds between a rotation that failed and the next try: where a rotation is planned a quarter of an hour before the
venue's cut, 30 tries."""


class Rotation:
    """What is known about the next rotation.

    Args:
        after_s: age of a socket at which its successor is dialled, seconds; None: only when asked.
    """

    def __init__(self, after_s: float | None) -> None:
        self._after_s = float("inf") if after_s is None else after_s
        self._asked: str | None = None
        self._not_before = float("-inf")
        self._wanted = Signal()
        self.changed = Signal()
        """Notified when a successor has heard something, or is gone."""
        self.begun = 0
        """Successors dialled so far."""

    def ask(self, reason: str) -> None:
        """The app wants a rotation now."""
        self._asked = reason
        self._not_before = float("-inf")
        self._wanted.notify()

    def failed(self, reason: str) -> None:
        """The successor is gone; the next one is not dialled at once."""
        logger.warning("the rotation failed, nothing changes: {}", reason)
        self._not_before = trio.current_time() + AGAIN_AFTER_S
        self.changed.notify()

    async def wait_due(self, subscribed_at: float) -> str:
        """Wait until a socket that is subscribed since then is to be replaced; says why."""
        while True:
            due_at = max(subscribed_at + self._after_s, self._not_before)
            now = trio.current_time()
            if now >= self._not_before and self._asked is not None:
                return self._begin(self._asked)
            if now >= due_at:
                return self._begin(f"the socket is {now - subscribed_at:.3g} s old")
            with trio.move_on_at(due_at if self._asked is None else self._not_before):
                await self._wanted.wait()

    def _begin(self, reason: str) -> str:
        self.begun += 1
        return reason

    def done(self) -> None:
        """A successor has taken over: what was asked for has happened."""
        self._asked = None
