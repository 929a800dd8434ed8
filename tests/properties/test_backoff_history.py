"""The backoff over a whole life: attempts of its own, of the app and of rotations, losses, GOODBYEs, in any order.

``tests/controller/test_backoff.py`` looks at one loss after the other; here somebody else may dial in between.
"""

from collections import Counter
from random import Random
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from gapless.controller.backoff import ASKED_SPREAD, ATTEMPT_SPACING_S, ReconnectBackoff
from tests.properties.profile import explore

INITIAL_S, MAX_S = 1.0, 20.0


class Dialler(RuleBasedStateMachine):
    reached: ClassVar[Counter[str]] = Counter()

    @initialize(seed=st.integers(0, 2**32), multiplier=st.sampled_from([1.0, 2.0, 1e9]), limit=st.none() | st.just(3))
    def begin(self, seed: int, multiplier: float, limit: int | None) -> None:
        self.backoff = ReconnectBackoff(
            initial_s=INITIAL_S, max_s=MAX_S, multiplier=multiplier, max_attempts=limit, random=Random(seed)
        )
        self.multiplier, self.limit = multiplier, limit
        self.now = 100.0
        self.dialled: list[float] = []
        self.floor = 0.0
        self.losses = self.spent = 0
        self.retry_at: float | None = None

    @rule(pause_s=st.sampled_from([0.0, 0.3, 1.05, 7.0, 100.0]))
    def time_passes(self, pause_s: float) -> None:
        self.now += pause_s

    @rule()
    def somebody_dials(self) -> None:
        """The app, a wake or a rotation: as early as it may."""
        self.dial(self.backoff.earliest(self.now))

    @rule()
    @precondition(lambda self: self.retry_at is not None)
    def the_retry_is_due(self) -> None:
        self.dial(self.backoff.earliest(max(self.now, self.retry_at or 0.0)))
        self.reached["retried"] += 1

    def dial(self, at: float) -> None:
        assert at >= self.now
        assert at >= self.floor
        if self.dialled:
            assert at - self.dialled[-1] >= ATTEMPT_SPACING_S - 1e-9, "never two attempts within a second"
            self.reached["spaced"] += self.now < at == self.dialled[-1] + ATTEMPT_SPACING_S
        self.reached["waited for the peer"] += self.now < at == self.floor
        self.now = at
        self.backoff.attempt_started(at)
        self.dialled.append(at)
        self.retry_at = None

    @rule(wait_s=st.sampled_from([0.0, 5.0, 300.0]))
    def the_peer_says_goodbye(self, wait_s: float) -> None:
        self.backoff.floor(self.now + wait_s)
        self.floor = max(self.floor, self.now + wait_s)

    @rule(earned=st.booleans(), spends=st.booleans())
    def the_link_is_lost(self, *, earned: bool, spends: bool) -> None:
        retry_at = self.backoff.lost(self.now, earned=earned, spends_attempt=spends)
        self.losses, self.spent = (0, 0) if earned else (self.losses + 1, self.spent + spends)
        assert self.backoff.attempts == self.spent
        self.retry_at = retry_at
        if not earned and self.limit is not None and self.spent >= self.limit:
            assert retry_at is None
            self.reached["spent"] += 1
            return
        earliest = self.backoff.earliest(self.now)
        ceiling_s = 0.0 if earned else min(MAX_S, INITIAL_S * self.multiplier ** min(self.losses - 1, 30))
        assert retry_at is not None
        drawn = earliest > self.now and (not earned or self.floor > self.now)
        beyond_s = max(INITIAL_S, min(ASKED_SPREAD * (self.floor - self.now), MAX_S)) if drawn else 0.0
        assert earliest <= retry_at <= max(earliest + beyond_s, self.now + ceiling_s)
        self.reached["at once"] += earned and retry_at == self.now
        self.reached["jitter beyond the first ceiling"] += retry_at > max(earliest, self.now + INITIAL_S)

    @rule()
    def the_app_starts_over(self) -> None:
        self.backoff.reset()
        self.losses = self.spent = 0
        assert self.backoff.attempts == 0
        assert self.backoff.earliest(self.now) >= self.floor, "what the peer asked for stays"


def test_whoever_dials_attempts_are_spaced_and_floors_are_kept() -> None:
    wanted = {"retried", "spaced", "waited for the peer", "spent", "at once", "jitter beyond the first ceiling"}
    explore(Dialler, Dialler.reached, wanted, examples=100)
