"""A budget that is waited for, one after the other."""

from typing import Final

import trio
from loguru import logger

from gapless.controller.exchange import Budget
from gapless.controller.request_window import RequestWindow

_SAID_FROM_S: Final = 1.0
"""Seconds of waiting that are worth a line in the log."""


class Gate:
    """So many turns in so many seconds.

    Args:
        budget: how many, and in how many seconds.
        what: is taken no more for a while, as a line in the log says it.
    """

    __slots__ = ("_line", "_what", "_window", "budget")

    def __init__(self, budget: Budget, what: str) -> None:
        turns, window_s = budget
        self.budget: Final = budget
        self._what = what
        self._window = RequestWindow(requests=turns, window_s=window_s)
        self._line = trio.Lock()

    async def turn(self) -> None:
        """Wait until one more turn is allowed, and take it."""
        async with self._line:
            wait_s = self._window.wait_s(trio.current_time())
            if wait_s >= _SAID_FROM_S:
                logger.info("the venue takes no more {} for {:.1f} s", self._what, wait_s)
            await trio.sleep(wait_s)
            self._window.sent(trio.current_time())
