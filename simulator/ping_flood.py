"""The failure mode ``ping_flood``: the WebSocket's own PINGs, far more than any server should send."""

import struct
from itertools import count

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection
from wsproto.utilities import LocalProtocolError

from gapless.simulator.failure_modes import PingFloodMode
from gapless.simulator.failures import FailureControl, Rule

KIND = "ping_flood"
OUTSTANDING_MAX = 256
"""PINGs of one connection that wait for their PONG at a time; a client that answers none gets no more."""


class PingFlood:
    """The PINGs of one connection. They live in ``nursery``: one that is half sent must not be cancelled before it."""

    def __init__(
        self, failures: FailureControl, session_id: str, socket: WebSocketConnection, nursery: trio.Nursery
    ) -> None:
        self._failures = failures
        self._session_id = session_id
        self._socket = socket
        self._nursery = nursery
        self._numbers = count()
        self._outstanding = 0

    async def run(self) -> None:
        """Ping as the rule of the moment says, for ever."""
        while True:
            rule = self._failures.rule(KIND, self._session_id)
            if rule is not None and rule.may_act(self._session_id, trio.current_time()):
                rule.act(self._session_id, f"{rule.mode(PingFloodMode).pings_per_s:g} a second")
                await self._flood(rule)
            while self._failures.rule(KIND, self._session_id) is rule:
                await self._failures.wait_changed()

    async def _flood(self, rule: Rule) -> None:
        interval_s = 1.0 / rule.mode(PingFloodMode).pings_per_s
        next_at = trio.current_time()
        while self._failures.rule(KIND, self._session_id) is rule and rule.holds(trio.current_time()):
            if self._outstanding < OUTSTANDING_MAX:
                self._outstanding += 1
                self._nursery.start_soon(self._ping)
            next_at += interval_s
            await trio.sleep_until(next_at)

    async def _ping(self) -> None:
        try:
            await self._socket.ping(struct.pack("!Q", next(self._numbers)))
        except (ConnectionClosed, LocalProtocolError):
            # The client is closing, or gone: whoever reads the socket says so.
            return
        finally:
            self._outstanding -= 1
