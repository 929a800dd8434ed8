"""Telling a dead socket from a quiet market: every verdict, and what quiet verdicts in a row lead to."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless.controller import Stream
from gapless.controller.exchange import HistoryPage, HistoryRow
from gapless.controller.sequence_tracker import StreamLedger
from gapless.controller.silence import CATCH_UP_S, Judgement, QuietMarket, Silence
from gapless.controller.subscription import Subscription

BEGAN = 100.0
TIMEOUT_S = 10.0
RTT_S = 0.05
TICKER, ETHER = Stream("ticker", "BTC/USD"), Stream("ticker", "ETH/USD")


def stream(name: Stream = TICKER, *, live_head: int | None = 41, last_live_timestamp: str = "") -> Subscription:
    """A stream of which this socket has shown everything up to ``live_head``."""
    return Subscription(
        stream=name,
        ledger=StreamLedger(),
        is_account=False,
        healable=True,
        live_head=live_head,
        last_live_timestamp=last_live_timestamp,
    )


def rest_says(
    subscription: Subscription,
    last_seq: int | None = None,
    *,
    epoch: str | None = "e-1",
    timestamp: str = "",
    asked_at: float = BEGAN + 0.1,
) -> None:
    rows = [HistoryRow(timestamp=timestamp, price=1.0)] if timestamp else []
    subscription.heard(HistoryPage(rows=rows, epoch=epoch, last_seq=last_seq), subscription.asked(asked_at))


def silence(*, pong: bool = True, usual_rtt_s: float | None = None) -> Silence:
    return Silence(began_at=BEGAN, timeout_s=TIMEOUT_S, pong_rtt_s=RTT_S if pong else None, usual_rtt_s=usual_rtt_s)


class TestPending:
    def test_nothing_is_known_yet(self) -> None:
        case = silence(pong=False)
        assert case.judge(BEGAN, [stream()], "e-1") == (Judgement.PENDING, "")
        assert case.next_look_at() == BEGAN + TIMEOUT_S

    def test_one_witness_alone_is_not_enough(self) -> None:
        only_rest = stream()
        rest_says(only_rest, 41)
        assert silence(pong=False).judge(BEGAN + 1, [only_rest], "e-1")[0] is Judgement.PENDING
        assert silence().judge(BEGAN + 1, [stream()], "e-1")[0] is Judgement.PENDING, "only the PONG came"

    def test_a_stream_that_rest_has_not_spoken_of_may_still_be_dead(self) -> None:
        heard, unheard = stream(), stream(ETHER)
        rest_says(heard, 41)
        assert silence().judge(BEGAN + 1, [heard, unheard], "e-1")[0] is Judgement.PENDING

    def test_what_rest_was_asked_before_the_silence_is_no_evidence(self) -> None:
        before = stream()
        rest_says(before, 99, asked_at=BEGAN - 0.1)
        assert silence().judge(BEGAN + 5, [before], "e-1")[0] is Judgement.PENDING


class TestDead:
    def test_rest_has_moved_on_and_the_socket_does_not_follow(self) -> None:
        case, moved = silence(), stream()
        rest_says(moved, 45)
        now = BEGAN + 0.2
        assert case.judge(now, [moved], "e-1")[0] is Judgement.PENDING, "a slow socket gets its chance"
        assert case.next_look_at() == pytest.approx(now + RTT_S + CATCH_UP_S)
        assert case.judge(case.next_look_at() - 0.01, [moved], "e-1")[0] is Judgement.PENDING
        assert case.judge(case.next_look_at(), [moved], "e-1") == (
            Judgement.DEAD,
            "REST has moved on: ticker:BTC/USD has id 45, the socket 41",
        )

    def test_one_dead_stream_among_many_is_enough(self) -> None:
        case, quiet, moved = silence(), stream(), stream(ETHER)
        rest_says(quiet, 41)
        rest_says(moved, 42)
        case.judge(BEGAN + 0.2, [quiet, moved], "e-1")
        judgement, reason = case.judge(BEGAN + 1, [quiet, moved], "e-1")
        assert judgement is Judgement.DEAD
        assert "ETH/USD" in reason

    def test_without_a_pong_rest_alone_proves_it_after_a_usual_round_trip(self) -> None:
        case, moved = silence(pong=False, usual_rtt_s=1.2), stream()
        rest_says(moved, 45)
        case.judge(BEGAN + 0.2, [moved], "e-1")
        assert case.next_look_at() == pytest.approx(BEGAN + 0.2 + 1.2 + CATCH_UP_S)
        assert case.judge(BEGAN + 0.2 + CATCH_UP_S, [moved], "e-1")[0] is Judgement.PENDING, "a PONG takes longer"
        assert case.judge(case.next_look_at(), [moved], "e-1")[0] is Judgement.DEAD

    def test_where_no_round_trip_is_known_a_pong_is_waited_for(self) -> None:
        case, moved = silence(pong=False), stream()
        rest_says(moved, 45)
        case.judge(BEGAN + 0.2, [moved], "e-1")
        assert case.next_look_at() == BEGAN + TIMEOUT_S
        assert case.judge(BEGAN + 3.0, [moved], "e-1")[0] is Judgement.PENDING
        case.pong_rtt_s = 3.5
        assert case.judge(BEGAN + 3.5, [moved], "e-1")[0] is Judgement.PENDING, "what left with the PONG may still come"
        assert case.judge(BEGAN + 0.2 + 3.5 + CATCH_UP_S, [moved], "e-1")[0] is Judgement.DEAD

    def test_the_round_trip_now_counts_more_than_the_usual_one(self) -> None:
        case, moved = silence(usual_rtt_s=3.0), stream()
        rest_says(moved, 45)
        case.judge(BEGAN + 0.2, [moved], "e-1")
        assert case.next_look_at() == pytest.approx(BEGAN + 0.2 + RTT_S + CATCH_UP_S)

    def test_rest_speaks_of_another_epoch(self) -> None:
        case, restarted = silence(), stream()
        rest_says(restarted, 3, epoch="e-2")
        case.judge(BEGAN + 0.2, [restarted], "e-1")
        judgement, reason = case.judge(BEGAN + 1, [restarted], "e-1")
        assert judgement is Judgement.DEAD
        assert reason == "REST has moved on: it speaks of epoch e-2, the socket of e-1"

    def test_no_pong_in_time(self) -> None:
        for witnesses in ([], [stream()]):
            case = silence(pong=False)
            assert case.judge(BEGAN + TIMEOUT_S - 0.01, witnesses, "e-1")[0] is Judgement.PENDING
            assert case.judge(BEGAN + TIMEOUT_S, witnesses, "e-1") == (Judgement.DEAD, "no PONG within 10 s")

    def test_no_pong_outweighs_a_rest_that_has_nothing_newer(self) -> None:
        quiet = stream()
        rest_says(quiet, 41)
        assert silence(pong=False).judge(BEGAN + TIMEOUT_S, [quiet], "e-1")[0] is Judgement.DEAD

    def test_newer_data_at_the_last_moment_still_counts(self) -> None:
        moved = stream()
        rest_says(moved, 45)
        assert silence().judge(BEGAN + TIMEOUT_S, [moved], "e-1")[0] is Judgement.DEAD

    def test_without_ids_the_time_of_the_data_tells(self) -> None:
        case, moved = silence(), stream(live_head=None, last_live_timestamp="2026-01-01T00:00:05.000Z")
        rest_says(moved, epoch=None, timestamp="2026-01-01T00:00:06.000Z")
        case.judge(BEGAN + 0.2, [moved], None)
        assert case.judge(BEGAN + 1, [moved], None) == (
            Judgement.DEAD,
            "REST has moved on: ticker:BTC/USD has data of 2026-01-01T00:00:06.000Z",
        )


class TestQuiet:
    def test_the_pong_came_and_rest_has_nothing_newer(self) -> None:
        quiet, too = stream(), stream(ETHER)
        rest_says(quiet, 41)
        rest_says(too, 40)
        assert silence().judge(BEGAN + 0.2, [quiet, too], "e-1") == (
            Judgement.QUIET,
            "PONG answered and REST has nothing newer",
        )

    def test_a_slow_socket_that_catches_up_keeps_its_good_name(self) -> None:
        case, slow = silence(), stream()
        rest_says(slow, 45)
        assert case.judge(BEGAN + 0.2, [slow], "e-1")[0] is Judgement.PENDING
        slow.live_head = 45
        assert case.judge(BEGAN + 0.3, [slow], "e-1")[0] is Judgement.QUIET

    def test_patience_starts_anew_with_each_lag(self) -> None:
        case, slow = silence(), stream()
        rest_says(slow, 45)
        case.judge(BEGAN + 0.2, [slow], "e-1")
        slow.live_head = 45
        case.judge(BEGAN + 0.3, [slow], "e-1")
        rest_says(slow, 46)
        assert case.judge(BEGAN + 3.0, [slow], "e-1")[0] is Judgement.PENDING

    def test_a_socket_without_mark_or_data_is_measured_by_what_rest_knew_first(self) -> None:
        case, fresh = silence(), stream(live_head=None)
        rest_says(fresh, 45)
        assert case.judge(BEGAN + 0.2, [fresh], "e-1")[0] is Judgement.QUIET
        rest_says(fresh, 46)
        case.judge(BEGAN + 0.3, [fresh], "e-1")
        assert case.judge(BEGAN + 1.0, [fresh], "e-1")[0] is Judgement.DEAD

    def test_in_the_end_the_streams_that_were_heard_suffice(self) -> None:
        heard, unheard = stream(), stream(ETHER)
        rest_says(heard, 41)
        assert silence().judge(BEGAN + TIMEOUT_S, [heard, unheard], "e-1") == (
            Judgement.QUIET,
            "PONG answered and REST has nothing newer on 1 of 2 streams",
        )

    def test_without_ids_data_as_old_as_the_sockets_is_nothing_newer(self) -> None:
        quiet = stream(live_head=None, last_live_timestamp="2026-01-01T00:00:05.000Z")
        rest_says(quiet, epoch=None, timestamp="2026-01-01T00:00:05.000Z")
        assert silence().judge(BEGAN + 0.2, [quiet], None)[0] is Judgement.QUIET


class TestUnknown:
    @pytest.mark.parametrize("witnesses", [[], [stream()], [stream(), stream(ETHER)]])
    def test_the_pong_came_and_rest_said_nothing(self, witnesses: list[Subscription]) -> None:
        case = silence()
        assert case.judge(BEGAN + TIMEOUT_S - 0.01, witnesses, "e-1")[0] is Judgement.PENDING
        assert case.judge(BEGAN + TIMEOUT_S, witnesses, "e-1") == (
            Judgement.UNKNOWN,
            "PONG answered, but REST said nothing",
        )


def test_every_case_is_decided_in_time_and_never_against_the_evidence() -> None:
    reached: Counter[Judgement] = Counter()
    seconds = st.integers(0, 99).map(lambda tenths: tenths / 10)
    looks = st.lists(seconds, min_size=2, max_size=6).map(sorted)
    heads = st.none() | st.sampled_from([40, 41, 41, 42])

    @settings(max_examples=300, derandomize=True, deadline=None)
    @given(st.none() | seconds, st.lists(heads, max_size=3), looks)
    def explore(pong_after_s: float | None, rest: list[int | None], looks: list[float]) -> None:
        case = silence(pong=False)
        witnesses = [stream(Stream("ticker", f"S{number}")) for number in range(len(rest))]
        for after_s in [*looks, TIMEOUT_S]:
            if pong_after_s is not None and after_s >= pong_after_s:
                case.pong_rtt_s = pong_after_s
            for witness, last_seq in zip(witnesses, rest, strict=True):
                if last_seq is not None:
                    rest_says(witness, last_seq, asked_at=BEGAN)
            judgement, reason = case.judge(BEGAN + after_s, witnesses, "e-1")
            reached[judgement] += 1
            newer = any(last_seq is not None and last_seq > 41 for last_seq in rest)
            if judgement is Judgement.DEAD:
                assert newer or (after_s >= TIMEOUT_S and case.pong_rtt_s is None)
            elif judgement is not Judgement.PENDING:
                assert not newer
                assert case.pong_rtt_s is not None
                assert (judgement is Judgement.QUIET) is any(last_seq is not None for last_seq in rest)
            assert (judgement is Judgement.PENDING) is (reason == "")
            if judgement is not Judgement.PENDING:
                return
        raise AssertionError("not decided within the time-out")

    explore()
    assert reached.keys() == set(Judgement)


class TestQuietMarket:
    def test_each_quiet_verdict_doubles_the_window_up_to_the_maximum(self) -> None:
        quiet, windows = QuietMarket(window_s=10.0, window_max_s=60.0), []
        for number in range(5):
            windows.append(quiet.window_s(last_data_at=0.0))
            quiet.found(100.0 + number, 0.0, unverified=False)
        assert windows == [10.0, 20.0, 40.0, 60.0, 60.0]
        for number in range(2_000):
            quiet.found(200.0 + number, 0.0, unverified=False)
        assert quiet.window_s(last_data_at=0.0) == 60.0, "a market closed for a weekend overflows nothing"

    def test_data_brings_the_window_back_to_normal(self) -> None:
        quiet = QuietMarket(window_s=10.0, window_max_s=60.0)
        for now in (20.0, 40.0):
            quiet.found(now, 15.0, unverified=False)
        assert quiet.window_s(last_data_at=39.0) == 40.0
        assert quiet.window_s(last_data_at=41.0) == 10.0
        quiet.found(60.0, 41.0, unverified=False)
        assert quiet.window_s(last_data_at=41.0) == 20.0, "and the doubling begins anew"

    def test_a_window_longer_than_the_maximum_stays_as_it_was_set(self) -> None:
        quiet = QuietMarket(window_s=300.0, window_max_s=60.0)
        assert quiet.window_s(0.0) == 300.0
        quiet.found(1.0, 0.0, unverified=False)
        assert quiet.window_s(0.0) == 300.0

    def test_it_remembers_an_unverified_verdict_until_a_sign_of_life_or_a_verified_one(self) -> None:
        quiet = QuietMarket(window_s=10.0, window_max_s=60.0)
        assert not quiet.was_unverified(last_sign_at=float("-inf"))
        quiet.found(20.0, 10.0, unverified=True)
        assert quiet.was_unverified(last_sign_at=19.0)
        assert not quiet.was_unverified(last_sign_at=21.0)
        quiet.found(40.0, 10.0, unverified=False)
        assert not quiet.was_unverified(last_sign_at=19.0)

    def test_windows_only_grow_while_nothing_comes(self) -> None:
        quiet, windows = QuietMarket(window_s=0.5, window_max_s=60.0), []
        for number in range(12):
            windows.append(quiet.window_s(last_data_at=0.0))
            quiet.found(1.0 + number, 0.0, unverified=number % 2 == 0)
        assert all(earlier <= later for earlier, later in pairwise(windows))
