"""The buttons of a demo: each breaks something at a simulator, over the simulator's own HTTP interface.

Failures are set for one session id, the controller's, so that other clients of the same simulator are left alone; a
restart and a goodbye concern all of them.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import quote

import httpx
from loguru import logger

from gapless.dashboard.breakages import FaultButton, breakages

_CONTROL: Final = "/api/v1/simulator"
_TIMEOUT_S: Final = 5.0
"""On loopback, where an answer takes a millisecond."""
_RETRIES: Final = 2
"""Of connections that are not accepted: a restart closes the port for a moment."""


class UnknownFaultError(LookupError):
    """There is no such button. Says which there are."""


class FaultError(Exception):
    """The button cannot be pressed now; the text says why."""


class Faults:
    """The buttons of one demo.

    Args:
        http: sends to the simulator.
        rest_url: the simulator's REST server.
        session_id: whose failures they are; the controller's.
        note: told of each press in a few words, for the time line.
        quiet_symbol: the symbol that can fall silent alone.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        rest_url: str,
        session_id: str,
        note: Callable[[str], None],
        quiet_symbol: str,
    ) -> None:
        self._http = http
        self._url = f"{rest_url.rstrip('/')}{_CONTROL}"
        self._session_url = f"{self._url}/sessions/{quote(session_id, safe='')}/failures"
        self._note = note
        self._breakages = {each.button.name: each for each in breakages(quiet_symbol)}
        self.held = ""
        """Why no button can be pressed at present; empty: they can."""

    @property
    def buttons(self) -> Sequence[FaultButton]:
        """In the order in which they are shown."""
        return [each.button for each in self._breakages.values()]

    async def press(self, name: str) -> None:
        """Press one.

        Raises:
            UnknownFaultError: there is no such button.
            FaultError: the buttons are held, or the simulator cannot be reached or refuses.
        """
        fault = self._breakages.get(name)
        if fault is None:
            raise UnknownFaultError(f"there is no fault {name!a}; there are {', '.join(self._breakages)}")
        if self.held:
            raise FaultError(self.held)
        try:
            reply = await self._http.put(self._session_url, json=fault.failures)
            if fault.post and reply.is_success:
                reply = await self._http.post(f"{self._url}/{fault.post}", json=fault.body)
        except httpx.HTTPError as error:
            raise FaultError(f"the exchange cannot be reached now ({type(error).__name__}); try again") from None
        if not reply.is_success:
            raise FaultError(f"the exchange refused: HTTP {reply.status_code} {reply.text[:200]}")
        logger.info("fault pressed: {}", name)
        self._note(fault.button.label)


@asynccontextmanager
async def open_faults(
    *, rest_url: str, session_id: str, note: Callable[[str], None], quiet_symbol: str
) -> AsyncIterator[Faults]:
    """The buttons of a simulator, with a client of their own: their requests are no traffic of the controller's."""
    # No connection is kept: a restart would leave it dead, and a button be pressed in vain.
    transport = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_keepalive_connections=0), retries=_RETRIES)
    async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=_TIMEOUT_S) as http:
        yield Faults(http, rest_url=rest_url, session_id=session_id, note=note, quiet_symbol=quiet_symbol)
