"""A tape of one run: the lines of ``gapless watch --json --requests``, and one for each fault, for a picture of it."""

from typing import Final

import msgspec

from gapless.controller import AnyEvent, BalanceUpdate, MarketData, OrderUpdate, StateChanged
from gapless.simulator.torture.observer import Answered, Watch
from gapless.simulator.virtual_clock import START_S

_DATA: Final = (MarketData, OrderUpdate, BalanceUpdate)


class Tape(Watch):
    """Writes down what goes by, and judges nothing.

    Times are those of the world, not of the client's clock, which a fault may set: a transition when it happened,
    everything else when the app took it.

    Attributes:
        lines: of JSON, each with its end.
    """

    promise = "what happened can be told"

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[bytes] = []
        self._encoder = msgspec.json.Encoder()

    def transition(self, now: float, event: StateChanged) -> None:
        """Write it down at once; the app takes it later."""
        self._write(msgspec.structs.replace(event, at=START_S + now))

    def received(self, now: float, event: AnyEvent) -> None:
        """Write down what the app took."""
        if isinstance(event, _DATA):
            self._write(msgspec.structs.replace(event, received_at=START_S + now))
        elif not isinstance(event, StateChanged):
            self._write(msgspec.structs.replace(event, at=START_S + now))

    def answered(self, now: float, reply: Answered) -> None:
        """Write down a request that got a reply, whose path nobody asks for."""
        self._write({"event": "RestRequest", "path": "", "status": reply.status, "at": START_S + now})

    def fault(self, now: float, name: str, duration_s: float) -> None:
        """Something is broken on purpose."""
        self._write({"event": "Fault", "text": name, "seconds": duration_s, "at": START_S + now})

    def _write(self, what: object) -> None:
        self.lines.append(self._encoder.encode(what) + b"\n")
