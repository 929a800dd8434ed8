"""A controller in the test's own process, with what its app has seen; its end is measured, the machine's part told."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Final

import trio

from gapless.cli.oracle import Silence
from gapless.cli.witness import SilenceWatch, StolenTime, Wire
from gapless.controller import ConnectionController, NetworkConfig, open_controller
from gapless.controller.transports import transport_of
from tests.kit import SESSION, TICKER
from tests.real_sockets.seen import Seen

LEAVING_MAX_S: Final = 0.5
"""The contract: leaving the block ends every task, socket and request within this time, whatever the peer does."""
_TICKS_S: Final = 0.1
"""Long enough for the witness of stolen time to have looked once more."""


class App(Seen):
    """What the app of this controller has seen, and how long after the last sign of life each silence was found."""

    def __init__(self, controller: ConnectionController, silences: Sequence[Silence]) -> None:
        super().__init__()
        self.controller = controller
        self.silences = silences

    async def consume(self) -> None:
        async for event in self.controller:
            self.record(event)


@asynccontextmanager
async def app(ws_url: str, rest_url: str, settings: Mapping[str, object] = MappingProxyType({})) -> AsyncIterator[App]:
    """An app for as long as the block lasts. Leaving it within :data:`LEAVING_MAX_S` is asserted."""
    config = NetworkConfig.from_mapping(settings)
    wire = Wire(transport_of(config))
    stolen = StolenTime()
    watch = SilenceWatch(wire, stolen)
    async with trio.open_nursery() as measuring:
        measuring.start_soon(stolen.measure)
        async with open_controller(
            ws_url=ws_url,
            rest_url=rest_url,
            streams=[TICKER],
            config=config,
            session_id=SESSION,
            transport=wire,
            on_state_change=watch.on_state_change,
        ) as controller:
            async with trio.open_nursery() as nursery:
                seen = App(controller, watch.silences)
                nursery.start_soon(seen.consume)
                yield seen
                nursery.cancel_scope.cancel()
            left_at = trio.current_time()
        took_s = trio.current_time() - left_at
        await trio.sleep(_TICKS_S)
        assert took_s <= LEAVING_MAX_S + stolen.since(left_at)
        measuring.cancel_scope.cancel()
