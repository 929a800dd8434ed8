"""The time line: states, attempts, gaps that are filled in parts, requests, faults; all of it bounded."""

import pytest

from gapless.controller import (
    CircuitChanged,
    ContinuityLost,
    GapFilled,
    GapFound,
    ReconnectGaveUp,
    SnapshotMissed,
    StreamRejected,
)
from gapless.dashboard.chronicle import ITEMS_MAX, TRANSITIONS_MAX, Chronicle
from gapless.dashboard.open_gaps import OPEN_MAX, OpenGaps
from gapless.dashboard.texts import TEXT_LENGTH_MAX
from gapless.dashboard.wire import ItemWire
from gapless.states import State, Trigger
from tests.dashboard.happenings import BEGAN, SYMBOL, filled, found, lost, moved, reset, snapshot_read


def told(*events: GapFound | GapFilled | ContinuityLost) -> Chronicle:
    chronicle = Chronicle(began_at=BEGAN)
    for revision, event in enumerate(events, 1):
        chronicle.enter(event, revision)
    return chronicle


def items(chronicle: Chronicle, kind: str, since: int = -1) -> list[ItemWire]:
    return [item for item in chronicle.items_newer_than(since) if item.kind == kind]


def ends(chronicle: Chronicle, kind: str = "gap") -> list[float | None]:
    """Second at which each item of a kind was over."""
    return [None if item.ended_at is None else item.ended_at - BEGAN for item in items(chronicle, kind)]


# -- the state --------------------------------------------------------------------------------------------------------


def test_it_begins_with_the_first_attempt() -> None:
    chronicle = Chronicle(began_at=BEGAN)
    assert (chronicle.state.name, chronicle.state.since, chronicle.state.before) == (State.RECONNECTING, BEGAN, None)
    assert [(item.text, item.ended_at) for item in items(chronicle, "attempt")] == [("attempt 1", None)]


def test_the_state_says_since_when_and_when_the_next_attempt_is_due() -> None:
    chronicle = Chronicle(began_at=BEGAN)
    chronicle.enter(
        moved(2, State.RECONNECTING, Trigger.LINK_LOST, State.REST_FALLBACK, retry_in_s=1.5, reason="refused"), 1
    )
    state = chronicle.state
    assert (state.name, state.before, state.trigger) == (State.REST_FALLBACK, State.RECONNECTING, Trigger.LINK_LOST)
    assert (state.since, state.retry_at, state.reason) == (BEGAN + 2, BEGAN + 3.5, "refused")
    assert [each.retry_in_s for each in chronicle.transitions_newer_than(0)] == [1.5]
    assert chronicle.transitions_newer_than(1) == []


def test_each_attempt_lasts_until_the_state_is_left() -> None:
    chronicle = Chronicle(began_at=BEGAN)
    chronicle.enter(moved(2, State.RECONNECTING, Trigger.LINK_LOST, State.REST_FALLBACK), 1)
    chronicle.enter(moved(3, State.REST_FALLBACK, Trigger.RETRY_DUE, State.RECONNECTING, generation=2), 2)
    assert ends(chronicle, "attempt") == [2, None]
    chronicle.enter(moved(4, State.RECONNECTING, Trigger.DATA_FLOWS, State.RESYNCING, generation=2), 3)
    assert ends(chronicle, "attempt") == [2, 4]
    assert [item.text for item in items(chronicle, "attempt", since=1)] == ["attempt 2"]


def test_a_rotation_is_an_attempt_and_leaves_the_state_where_it_is() -> None:
    chronicle = Chronicle(began_at=BEGAN)
    chronicle.enter(moved(1, State.RESYNCING, Trigger.RESYNCED, State.CONNECTED), 1)
    chronicle.enter(moved(9, State.CONNECTED, Trigger.ROTATED, State.CONNECTED, generation=2), 2)
    assert (chronicle.state.since, chronicle.state.generation) == (BEGAN + 1, 2)
    assert [item.text for item in items(chronicle, "attempt", since=1)] == ["attempt 2: a successor took over"]
    assert ends(chronicle, "attempt")[-1] == 9


# -- gaps -------------------------------------------------------------------------------------------------------------


def test_a_gap_is_over_once_all_of_it_is_filled() -> None:
    chronicle = told(found(1, 10, 20), filled(2, 10, 14), filled(3, 16, 20))
    assert ends(chronicle) == [None]
    chronicle.enter(filled(4, 15, 15), 4)
    assert ends(chronicle) == [4]
    assert [item.kind for item in chronicle.items_newer_than(3)] == ["gap", "filled"]
    assert [(item.start, item.end) for item in items(chronicle, "filled")] == [(10, 14), (16, 20), (15, 15)]


def test_a_gap_is_over_where_the_rest_of_it_is_lost() -> None:
    assert ends(told(found(1, 10, 20), filled(2, 10, 14), lost(3, 15, 20))) == [3]
    assert ends(told(found(1, 10, 20), lost(3, 10, None, "epoch_ended"))) == [3]
    assert ends(told(found(1, 10, 20), lost(3, 11, None, "epoch_ended"))) == [None]


def test_one_fill_closes_several_gaps_and_no_others() -> None:
    chronicle = told(found(1, 10, 20), found(2, 30, 40), found(3, 50, 60), found(3, 10, 20, symbol="ETH/USD"))
    chronicle.enter(filled(5, 1, 45), 5)
    assert ends(chronicle) == [5, 5, None, None]


def test_a_reset_ends_what_was_open() -> None:
    chronicle = told(found(1, 10, 20))
    chronicle.enter(reset(4), 2)
    assert ends(chronicle) == [4]


def test_a_gap_names_its_stream_and_its_ids() -> None:
    (gap,) = items(told(found(1, 10, 20)), "gap")
    assert (gap.stream, gap.start, gap.end) == (f"ticker:{SYMBOL}", 10, 20)
    assert gap.text == "gap: 10 to 20 (sequence_jump)"
    (loss,) = items(told(lost(1, 10, None)), "lost")
    assert (loss.start, loss.end, loss.text) == (10, None, "lost: 10 to the end of the epoch (evicted)")


# -- everything else --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [(200, "rest"), (204, "rest"), (429, "rate_limited"), (418, "rate_limited")]
    + [(status, "rest_failed") for status in (302, 404, 500, 503, None)],
)
def test_a_request_is_shown_by_its_outcome(status: int | None, kind: str) -> None:
    chronicle = Chronicle(began_at=BEGAN)
    chronicle.rest_request(BEGAN + 1, "/api/v1/prices?symbol=BTC", status, 1)
    (item,) = chronicle.items_newer_than(0)
    assert item.kind == kind
    assert item.text == f"/api/v1/prices?symbol=BTC: {status or 'no answer'}"


def test_refusals_snapshots_giving_up_and_faults_are_on_it() -> None:
    chronicle = Chronicle(began_at=BEGAN)
    chronicle.enter(
        StreamRejected(channel="ticker", symbol="NO/PE", code="unknown_symbol", message="no such", at=BEGAN), 1
    )
    chronicle.enter(snapshot_read(1, "orders", 5, 3), 2)
    chronicle.enter(SnapshotMissed(channel="balance", symbol="*", reason="HTTP 500", at=BEGAN), 3)
    chronicle.enter(ReconnectGaveUp(attempts=10, reason="refused", at=BEGAN), 4)
    chronicle.enter(CircuitChanged(circuit="open", host="h", failures=5, probe_in_s=5.0, at=BEGAN), 4)
    chronicle.enter(CircuitChanged(circuit="closed", host="h", failures=0, probe_in_s=None, at=BEGAN), 4)
    chronicle.fault(BEGAN + 2, "go silent", 5)
    assert [(item.kind, item.text) for item in chronicle.items_newer_than(0)] == [
        ("rejected", "rejected: unknown_symbol no such"),
        ("snapshot", "snapshot: 3 rows"),
        ("snapshot", "snapshot missed: HTTP 500"),
        ("gave_up", "gave up after 10 attempts: refused"),
        ("rest_failed", "circuit open: h is left alone after 5 failures"),
        ("rest", "circuit closed: h is asked again"),
        ("fault", "go silent"),
    ]
    assert all(item.ended_at is not None for item in chronicle.items_newer_than(0))


def test_a_long_text_of_a_peer_is_cut() -> None:
    chronicle = Chronicle(began_at=BEGAN)
    chronicle.enter(moved(1, State.CONNECTED, Trigger.LINK_LOST, State.REST_FALLBACK, reason="x" * 10_000), 1)
    chronicle.rest_request(BEGAN, "/" * 10_000, 200, 2)
    assert len(chronicle.state.reason) == TEXT_LENGTH_MAX
    assert len(chronicle.transitions_newer_than(0)[0].reason) == TEXT_LENGTH_MAX
    assert max(len(item.text) for item in chronicle.items_newer_than(0)) == TEXT_LENGTH_MAX


def test_requests_push_out_requests_and_never_a_gap() -> None:
    chronicle = told(found(1, 10, 20))
    for number in range(5 * ITEMS_MAX):
        chronicle.rest_request(BEGAN + number, "/", 200, 2 + number)
    assert len(items(chronicle, "rest")) == ITEMS_MAX
    assert len(items(chronicle, "gap")) == 1
    assert chronicle.forgotten == 2 + 4 * ITEMS_MAX - 1


def test_everything_is_bounded() -> None:
    chronicle = Chronicle(began_at=BEGAN)
    flapping = (
        (State.RECONNECTING, Trigger.LINK_LOST, State.REST_FALLBACK),
        (State.REST_FALLBACK, Trigger.RETRY_DUE, State.RECONNECTING),
    )
    for number in range(3 * OPEN_MAX):
        chronicle.enter(found(number, 2 * number, 2 * number), number)
        chronicle.enter(moved(number, *flapping[number % 2]), number)
    assert len(chronicle.transitions_newer_than(-1)) == TRANSITIONS_MAX
    assert len(chronicle.items_newer_than(-1)) == ITEMS_MAX
    chronicle.enter(filled(9_999, 0, 6 * OPEN_MAX), 9_999)
    assert None not in ends(chronicle)


def test_open_gaps_are_bounded() -> None:
    gaps = OpenGaps()
    for number in range(2 * OPEN_MAX):
        gaps.found(("ticker", SYMBOL), number, 2 * number, 2 * number)
    assert gaps.closed(("ticker", SYMBOL), 0, None) == list(range(OPEN_MAX, 2 * OPEN_MAX))
    assert gaps.all_closed(("ticker", SYMBOL)) == []
