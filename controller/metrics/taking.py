"""Reading a controller's parts into a snapshot. Costs nothing until somebody asks."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from gapless.controller.metrics.histogram import Histograms
from gapless.controller.metrics.snapshot import (
    DataMetrics,
    GapMetrics,
    LinkMetrics,
    Metrics,
    RestMetrics,
    StateMetrics,
    StreamMetrics,
    TransitionCount,
)
from gapless.states import TABLE, Effect, State, Trigger

if TYPE_CHECKING:
    from gapless.controller.rate_limiter import RestRateLimiter
    from gapless.controller.rest import RestStats
    from gapless.controller.runtime import Runtime
    from gapless.controller.subscription import Subscription


class StateClock:
    """How long the controller has been in which state. Pure: time is an argument."""

    def __init__(self, state: State, now: float) -> None:
        self.state = state
        self.began_at: Final = now
        self._entered_at = now
        self._seconds: Final = dict.fromkeys(State, 0.0)

    def moved(self, state: State, now: float) -> None:
        """A transition leads to ``state``, perhaps the same one."""
        if state is not self.state:
            self._seconds[self.state] += now - self._entered_at
            self.state, self._entered_at = state, now

    def current_s(self, now: float) -> float:
        """Seconds in the current state."""
        return now - self._entered_at

    def seconds(self, now: float) -> dict[State, float]:
        """Seconds in each state until now."""
        return {**self._seconds, self.state: self._seconds[self.state] + self.current_s(now)}


def take(
    runtime: "Runtime",
    *,
    clock: StateClock,
    rows_taken: Mapping[tuple[State, Trigger], int],
    rest_stats: "RestStats",
    limiter: "RestRateLimiter",
    histograms: Histograms,
    streams_max: int | None,
    now: float,
) -> Metrics:
    """Everything there is to know now; of single streams, where there are no more than ``streams_max``."""
    transitions = tuple(_transitions(rows_taken))
    subscriptions = runtime.books.subscriptions
    told = subscriptions if streams_max is None or len(subscriptions) <= streams_max else ()
    return Metrics(
        state=StateMetrics(
            current=clock.state,
            current_s=clock.current_s(now),
            seconds=clock.seconds(now),
            transitions=transitions,
        ),
        data=_data(runtime, len(subscriptions), _freshness_worst_s(subscriptions, clock.began_at, now)),
        gaps=_gaps(runtime, subscriptions),
        rest=_rest(rest_stats, limiter, histograms),
        link=_link(runtime, transitions, histograms),
        streams=tuple(_streams(told, now)),
    )


def _transitions(rows_taken: Mapping[tuple[State, Trigger], int]) -> Iterator[TransitionCount]:
    for (source, trigger), count in rows_taken.items():
        row = TABLE.row(source, trigger)
        if row.effect is not Effect.TOLERATED:
            yield TransitionCount(source=source, trigger=trigger, target=row.target, count=count)


def _streams(subscriptions: "Sequence[Subscription]", now: float) -> Iterator[StreamMetrics]:
    for each in subscriptions:
        silent_s = now - each.last_data_at
        yield StreamMetrics(
            stream=each.stream,
            freshness_s=None if silent_s == float("inf") else silent_s,
            gaps_open=len(each.ledger.gaps),
            ids_open=each.ledger.gaps.ids,
        )


def _freshness_worst_s(subscriptions: "Sequence[Subscription]", began_at: float, now: float) -> float | None:
    since = [max(each.last_data_at, each.desired_at) for each in subscriptions if not each.is_account]
    return now - max(min(since), began_at) if since else None


def _data(runtime: "Runtime", streams: int, freshness_worst_s: float | None) -> DataMetrics:
    stats, delivery = runtime.books.stats, runtime.books.delivery
    return DataMetrics(
        live=stats.live,
        backfilled=stats.backfilled,
        polled=stats.polled,
        duplicates=stats.duplicates,
        reordered=stats.reordered,
        skipped=stats.skipped,
        suspects=stats.suspects,
        invalid=stats.invalid_messages,
        ignored=stats.ignored,
        unexpected=stats.unexpected,
        invalid_replies=stats.invalid_replies,
        stale_replies=stats.stale_replies,
        held=len(delivery) - delivery.held_back,
        held_max=delivery.capacity,
        held_back=delivery.held_back,
        streams=streams,
        freshness_worst_s=freshness_worst_s,
    )


def _gaps(runtime: "Runtime", subscriptions: "Sequence[Subscription]") -> GapMetrics:
    stats = runtime.books.stats
    return GapMetrics(
        opened=stats.gaps_found,
        filled=stats.gaps_filled,
        lost=dict(stats.losses),
        refuted=stats.gaps_refuted,
        ids_missed=stats.ids_missed,
        ids_filled=stats.ids_filled,
        ids_refuted=stats.ids_refuted,
        ids_lost=dict(stats.ids_lost_by),
        open=sum(len(each.ledger.gaps) for each in subscriptions),
        ids_open=sum(each.ledger.gaps.ids for each in subscriptions),
    )


def _rest(stats: "RestStats", limiter: "RestRateLimiter", histograms: Histograms) -> RestMetrics:
    used, budget = limiter.budget
    return RestMetrics(
        succeeded=stats.succeeded,
        refused=stats.refused,
        limited=stats.limited,
        failed=stats.failed,
        cancelled=stats.cancelled,
        bytes_received=stats.bytes_received,
        bytes_read=stats.bytes_read,
        limiter_wait=histograms.limiter_wait.snapshot(),
        request_duration=histograms.request_duration.snapshot(),
        in_line=limiter.in_line,
        budget_used=used,
        budget=budget,
        circuit=stats.circuit,
        circuit_opened=stats.circuit_opened,
    )


def _link(runtime: "Runtime", transitions: tuple[TransitionCount, ...], histograms: Histograms) -> LinkMetrics:
    again = (each.count for each in transitions if each.target is State.RECONNECTING)
    return LinkMetrics(
        generation=runtime.link.generation,
        attempts=1 + sum(again),
        fruitless=runtime.backoff.attempts,
        rotations_begun=runtime.rotation.begun,
        rotations=sum(each.count for each in transitions if each.trigger is Trigger.ROTATED),
        healthy=runtime.heartbeat.healthy,
        round_trip=histograms.round_trip.snapshot(),
    )
