"""How often a venue's WebSocket host is dialled: one gate for each host, shared by every controller of a trio run."""

from typing import Final
from urllib.parse import urlsplit

import trio
from loguru import logger

from gapless.controller.exchange import Budget
from gapless.controller.request_window import RequestWindow

_SAID_FROM_S: Final = 1.0
"""Seconds of waiting that are worth a line in the log."""


class ConnectGate:
    """One host's budget of connection attempts."""

    def __init__(self, budget: Budget) -> None:
        attempts, window_s = budget
        self.budget: Final = budget
        self._window = RequestWindow(requests=attempts, window_s=window_s)
        self._line = trio.Lock()

    async def turn(self) -> None:
        """Wait until one more attempt is allowed, and take it."""
        async with self._line:
            wait_s = self._window.wait_s(trio.current_time())
            if wait_s >= _SAID_FROM_S:
                logger.info("the venue takes no more connections for {:.1f} s", wait_s)
            await trio.sleep(wait_s)
            self._window.sent(trio.current_time())


_gates: "trio.lowlevel.RunVar[dict[str, ConnectGate]]" = trio.lowlevel.RunVar("gapless connect gates")


def gate_of(websocket_url: str, budget: Budget | None) -> ConnectGate | None:
    """The gate of the host in an address, made from ``budget`` where there is none yet; None: it has no budget."""
    if budget is None:
        return None
    try:
        gates = _gates.get()
    except LookupError:
        gates = {}
        _gates.set(gates)
    return gates.setdefault(urlsplit(websocket_url).netloc.rpartition("@")[2].lower(), ConnectGate(budget))
