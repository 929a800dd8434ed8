"""What is read from a controller a few times a second, beside its events."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from msgspec import Struct

from gapless.controller import ConnectionController, Stream


class Sample(Struct, frozen=True, kw_only=True):
    """Figures of one moment. Nothing in it changes afterwards."""

    at: float
    """Unix seconds."""
    open_gaps: Mapping[Stream, Sequence[tuple[int, int]]]
    freshness: Mapping[Stream, float]
    """Seconds since each desired stream's last live datum; infinity where none came."""
    round_trip_s: float | None
    rest_budget: tuple[int, int]
    """Requests in the window, and how many it allows."""
    rest_succeeded: int
    rest_refused: int
    rest_failed: int
    rest_limited: int
    counters: Mapping[str, int]
    """The feed's counters by name, and ``events_held``."""

    @classmethod
    def of(cls, controller: ConnectionController, at: float) -> "Sample":
        """Read a controller now."""
        rest = controller.rest_stats
        return cls(
            at=at,
            open_gaps=controller.open_gaps,
            freshness=controller.freshness(),
            round_trip_s=controller.round_trip_s,
            rest_budget=controller.rest_budget,
            rest_succeeded=rest.succeeded,
            rest_refused=rest.refused,
            rest_failed=rest.failed,
            rest_limited=rest.limited,
            counters={**_counters(controller), "events_held": controller.events_held},
        )


def _counters(controller: ConnectionController) -> dict[str, int]:
    return {name: value for name, value in asdict(controller.stats).items() if isinstance(value, int)}
