"""The check of a demo: was the contract kept? Pure: it knows no clock, no socket and no controller.

It compares what the app received with what the *exchange* wrote down: which ids it issued with which payload, from
which mark it owes them, which failures it really injected, when it was asked over REST. Nothing the controller says
about itself is evidence; what it says to the app is what is being judged.

What it cannot see: an event that would have been right a second earlier. Lateness is judged for silences alone.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gapless.controller import AnyEvent, State, StateChanged
from gapless.simulator.testkit.contract import accounts_of, broken_promises
from gapless.simulator.testkit.deliveries import Issued, StreamKey
from gapless.states import TABLE

VIOLATIONS_MAX = 50
"""Texts in a verdict; what breaks once usually breaks a thousand times, and the counts say how often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the exchange wrote down."""

    issued: Mapping[StreamKey, Issued]
    injected: Mapping[str, int]
    """Failure -> how often it really happened."""
    requests_at: Sequence[float]
    """When each REST request was answered, seconds on any clock, ascending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """One silence that was found.

    Attributes:
        found_after_s: from the last data on the wire to ``SILENT``.
        stolen_s: how long the machine did not run this process meanwhile; no program can keep a deadline then.
    """

    found_after_s: float
    stolen_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What the app received, in order."""

    events: Sequence[AnyEvent]
    silences: Sequence[Silence]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is asked of the run, beside the contract."""

    failures: Mapping[str, int] = field(default_factory=dict)
    """Failure -> how often it must have happened at least."""
    states: frozenset[State] = frozenset(State)
    """States that must have been entered."""
    silence_max_s: float
    requests_per_s_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the check found."""

    owed: int
    """Ids the exchange owes; what is delivered below the first mark comes on top."""
    delivered: int
    unreported: int
    duplicates: int
    lost_reported: int
    states: Mapping[str, int]
    silence_found_after_s: float | None
    rest_requests_per_s_max: int
    failures: Mapping[str, int]
    violations: Sequence[str]

    @property
    def ok(self) -> bool:
        """Whether the contract was kept and the run was what it was meant to be."""
        return not self.violations


def judge(record: Record, observed: Observed, terms: Terms) -> Verdict:
    """Check a run."""
    accounts = accounts_of(record.issued, observed.events)
    entered = Counter({TABLE.initial: 1})
    entered.update(event.after for event in observed.events if isinstance(event, StateChanged))
    busiest = busiest_second(record.requests_at)
    violations = [
        *broken_promises(accounts, observed.events),
        *_unmet(record, terms, entered),
        *_late_silences(observed.silences, terms.silence_max_s),
    ]
    if busiest > terms.requests_per_s_max:
        violations.append(
            f"{busiest} REST requests within one second; the budget is {terms.requests_per_s_max} ({_REST_CLOCK})"
        )
    return Verdict(
        owed=sum(len(account.owed) for account in accounts.values()),
        delivered=sum(account.delivered for account in accounts.values()),
        unreported=sum(len(account.unreported) for account in accounts.values()),
        duplicates=sum(account.duplicates for account in accounts.values()),
        lost_reported=sum(account.lost_reported for account in accounts.values()),
        states={state.name: entered[state] for state in State},
        silence_found_after_s=max((each.found_after_s for each in observed.silences), default=None),
        rest_requests_per_s_max=busiest,
        failures=dict(record.injected),
        violations=_shortened(violations),
    )


_REST_CLOCK = "as the exchange counted them"


def busiest_second(at: Sequence[float]) -> int:
    """The most moments, of these ascending ones, that any one second holds."""
    return max((index + 1 - bisect_left(at, moment - 1.0 + 1e-9) for index, moment in enumerate(at)), default=0)


def _unmet(record: Record, terms: Terms, entered: Counter[State]) -> Iterator[str]:
    for name, wanted in terms.failures.items():
        if (happened := record.injected.get(name, 0)) < wanted:
            yield f"the failure {name} was to happen {wanted} times and happened {happened} times"
    for state in sorted(terms.states, key=lambda each: each.name):
        if not entered[state]:
            yield f"the state {state.name} was never entered"


def _late_silences(silences: Sequence[Silence], max_s: float) -> Iterator[str]:
    for each in silences:
        if each.found_after_s > max_s + each.stolen_s:
            without = f", {each.stolen_s:.3f} s of them without a processor" if each.stolen_s else ""
            yield f"a silence was found after {each.found_after_s:.3f} s{without}; promised are {max_s:g} s"


def _shortened(violations: Sequence[str]) -> Sequence[str]:
    if len(violations) <= VIOLATIONS_MAX:
        return tuple(violations)
    return (*violations[:VIOLATIONS_MAX], f"and {len(violations) - VIOLATIONS_MAX} more")
