"""When to dial again: full jitter between 0 and a ceiling, floors, spacing, and what earns a retry at once."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless.controller.backoff import ASKED_SPREAD, ATTEMPT_SPACING_S, ReconnectBackoff

LONG_AGO = -1_000.0


def backoff(*, seed: int = 1, max_attempts: int | None = 10, max_s: float = 60.0) -> ReconnectBackoff:
    """The specification's: 1 s, doubled up to 60 s, ten attempts."""
    return ReconnectBackoff(initial_s=1.0, max_s=max_s, multiplier=2.0, max_attempts=max_attempts, random=Random(seed))


def retried(each: ReconnectBackoff, now: float, *, earned: bool) -> float:
    """When a link lost now is tried again."""
    retry_at = each.lost(now, earned=earned)
    assert retry_at is not None
    return retry_at


def delays(each: ReconnectBackoff, losses: int, *, every_s: float = 1_000.0) -> list[float]:
    """What ``losses`` fruitless attempts in a row lead to, far enough apart that nothing but the jitter counts."""
    found = []
    for number in range(losses):
        now = number * every_s
        each.attempt_started(now - every_s / 2)
        retry_at = each.lost(now, earned=False)
        assert retry_at is not None
        found.append(retry_at - now)
    return found


def test_delays_are_drawn_from_zero_to_a_ceiling_that_doubles_up_to_the_cap() -> None:
    runs = [delays(backoff(seed=seed, max_attempts=None), 12) for seed in range(500)]
    for number, ceiling_s in enumerate([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0, 60.0, 60.0, 60.0]):
        drawn = [run[number] for run in runs]
        assert 0.0 <= min(drawn) < 0.05 * ceiling_s, "jitter goes all the way down"
        assert 0.95 * ceiling_s < max(drawn) <= ceiling_s
        assert sum(drawn) / len(drawn) == pytest.approx(ceiling_s / 2, rel=0.15)


def test_jitter_survives_the_cap() -> None:
    """A thousand clients that lost one server do not come back in the same second, however long it was away."""
    twentieth = [delays(backoff(seed=seed, max_attempts=None), 20)[-1] for seed in range(300)]
    seconds = Counter(int(delay) for delay in twentieth)
    assert len(seconds) > 50
    assert max(seconds.values()) < 20


def test_hours_of_failing_overflow_nothing() -> None:
    assert all(0.0 <= delay <= 60.0 for delay in delays(backoff(max_attempts=None), 5_000))


def test_two_attempts_are_never_within_a_second() -> None:
    each = backoff()
    each.attempt_started(100.0)
    assert each.earliest(100.2) == 100.0 + ATTEMPT_SPACING_S
    assert each.lost(100.2, earned=True) == 100.0 + ATTEMPT_SPACING_S, "not even for a link that earned a retry at once"
    assert each.earliest(200.0) == 200.0
    assert ATTEMPT_SPACING_S >= 1.0


def test_a_floor_holds_whatever_else_is_true() -> None:
    each = backoff()
    each.attempt_started(0.0)
    each.floor(130.0)
    each.floor(90.0)
    assert 130.0 <= retried(each, 100.0, earned=True) <= 145.0, "the later floor counts"
    each.reset()
    assert 130.0 <= retried(each, 101.0, earned=False) <= 145.0, "what the peer asked for survives a reset"
    assert each.lost(200.0, earned=True) == 200.0, "and is over when it is over"


# -- what holds up many alike -----------------------------------------------------------------------------------------


def busiest_tenth(moments: list[float]) -> float:
    """The largest share of the moments that lies within a tenth of their whole span."""
    span_s = max(moments) - min(moments)
    assert span_s > 0.0, "all in one instant"
    return max(Counter(int(10 * (each - min(moments)) / span_s) for each in moments).values()) / len(moments)


def test_who_fell_short_alike_is_spread_behind_the_spacing() -> None:
    """All dialled at once when the server fell, and were refused: the spacing must not line them up again."""
    again = []
    for seed in range(1_000):
        each = backoff(seed=seed)
        each.attempt_started(0.0)
        again.append(retried(each, 0.05, earned=False))
    assert min(again) >= ATTEMPT_SPACING_S
    assert max(again) <= ATTEMPT_SPACING_S + 1.0
    assert busiest_tenth(again) < 0.15


@pytest.mark.parametrize("earned", [True, False])
@pytest.mark.parametrize(("asked_s", "spread_s"), [(1.0, 1.0), (30.0, 15.0), (3_600.0, 60.0)])
def test_whom_one_peer_asks_to_wait_is_spread_behind_that(asked_s: float, spread_s: float, *, earned: bool) -> None:
    """A GOODBYE tells all clients the same moment; nobody comes before it, and they do not come in one instant."""
    again = []
    for seed in range(1_000):
        each = backoff(seed=seed)
        each.attempt_started(LONG_AGO)
        each.floor(asked_s)
        again.append(retried(each, 0.0, earned=earned))
    assert min(again) >= asked_s
    assert max(again) <= asked_s + spread_s, f"half of the wait, at least {spread_s} s and at most the cap"
    assert busiest_tenth(again) < 0.15


# -- a life -----------------------------------------------------------------------------------------------------------


def test_an_earned_link_is_retried_at_once_and_starts_counting_anew() -> None:
    each = backoff(seed=4)
    delays(each, 9)
    assert each.attempts == 9
    each.attempt_started(LONG_AGO)
    assert each.lost(20_000.0, earned=True) == 20_000.0
    assert each.attempts == 0
    assert delays(each, 1)[0] <= 1.0, "the ceiling is the first one again"


def test_the_tenth_fruitless_attempt_is_the_last() -> None:
    each = backoff()
    outcomes = [each.lost(1_000.0 * number, earned=False) for number in range(10)]
    assert all(retry_at is not None for retry_at in outcomes[:9])
    assert outcomes[9] is None
    assert each.attempts == 10


def test_a_reset_gives_all_attempts_back() -> None:
    each = backoff(max_attempts=2)
    assert each.lost(0.0, earned=False) is not None
    assert each.lost(1_000.0, earned=False) is None
    each.reset()
    assert each.attempts == 0
    assert each.lost(2_000.0, earned=False) is not None


def test_with_a_single_attempt_the_first_loss_is_the_end_unless_the_link_earned_more() -> None:
    each = backoff(max_attempts=1)
    assert each.lost(0.0, earned=True) == 0.0
    assert each.lost(1.0, earned=False) is None


def test_an_unverified_verdict_grows_the_delay_and_spends_no_attempt() -> None:
    grown = []
    for seed in range(200):
        each = backoff(seed=seed, max_attempts=2)
        outcomes = [each.lost(1_000.0 * number, earned=False, spends_attempt=False) for number in range(5)]
        assert each.attempts == 0
        assert outcomes[-1] is not None
        grown.append(outcomes[-1] - 4_000.0)
        assert each.lost(9_000.0, earned=False) is not None, "both attempts are still there"
    assert 14.0 < max(grown) <= 16.0


def test_every_history_keeps_the_promises() -> None:
    """Never before the spacing, the floor or now; never later than it may; None only when all is spent."""
    reached: Counter[str] = Counter()
    loss = st.tuples(st.floats(0.0, 90.0), st.booleans(), st.booleans(), st.none() | st.floats(0.0, 300.0))

    @settings(max_examples=100, derandomize=True, deadline=None)
    @given(st.integers(0, 2**32), st.none() | st.integers(1, 6), st.lists(loss, min_size=3, max_size=20))
    def explore(seed: int, max_attempts: int | None, losses: list[tuple[float, bool, bool, float | None]]) -> None:
        each = backoff(seed=seed, max_attempts=max_attempts)
        now = floor_at = started_at = 0.0
        in_a_row = spent = 0
        for lasted_s, earned, spends, asked_s in losses:
            each.attempt_started(now)
            started_at, now = now, now + lasted_s
            if asked_s is not None:
                each.floor(now + asked_s)
                floor_at = max(floor_at, now + asked_s)
            retry_at = each.lost(now, earned=earned, spends_attempt=spends)
            in_a_row, spent = (0, 0) if earned else (in_a_row + 1, spent + spends)
            assert each.attempts == spent
            if max_attempts is not None and spent >= max_attempts:
                assert retry_at is None
                reached["spent"] += 1
                return
            assert retry_at is not None
            lower = max(now, started_at + ATTEMPT_SPACING_S, floor_at)
            ceiling_s = 0.0 if earned else min(60.0, 2.0 ** (in_a_row - 1))
            # Held up by what holds up others alike: the draw goes a little beyond it.
            drawn = lower > now and (not earned or floor_at > now)
            beyond_s = max(1.0, min(ASKED_SPREAD * (floor_at - now), 60.0)) if drawn else 0.0
            assert lower <= retry_at <= max(lower + beyond_s, now + ceiling_s)
            reached["floor"] += lower == floor_at > now
            reached["spacing"] += lower == started_at + ATTEMPT_SPACING_S > now
            reached["jitter"] += retry_at > lower
            reached["at once"] += retry_at == now
            now = retry_at

    explore()
    assert not {"spent", "floor", "spacing", "jitter", "at once"} - {name for name, times in reached.items() if times}
