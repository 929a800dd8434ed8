"""A demo as lines, for ``gapless timeline`` and any other program: its events, what was broken, what REST was asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gapless.cli.rest_lines import RestRequest
from gapless.controller import AnyEvent
from gapless.simulator.records import RequestRecord


class Fault(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="event"):
    """What the exchange did, in the words of the story; no event of a controller."""

    text: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run that is over. Times are Unix seconds. Requests are those that arrived at the exchange."""

    events: Sequence[AnyEvent]
    faults: Sequence[tuple[float, str]]
    requests: Sequence[RequestRecord]

    def write(self, path: Path) -> None:
        """Write one JSON object a line; events first, for they alone are in an order that means something.

        Raises:
            OSError: it cannot be written.
        """
        lines: list[object] = [
            *self.events,
            *(Fault(at=at, text=text) for at, text in self.faults),
            *(RestRequest(at=each.time_s, path=each.path, status=each.status) for each in self.requests),
        ]
        path.write_bytes(msgspec.json.Encoder().encode_lines(lines))
