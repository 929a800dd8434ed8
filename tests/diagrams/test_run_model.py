"""A run as it is understood: bands, holes, losses, requests. No drawing."""

import json
from pathlib import Path

import msgspec
import pytest

from gapless.controller import ContinuityLost, GapFilled, GapFound, MarketData, Source, State, StateChanged, Trigger
from gapless.diagrams.run import LineError, Run, read_run
from gapless.diagrams.run import lines as known
from gapless.diagrams.run.holes import Fate
from gapless.diagrams.run.model import Answer, Dial
from gapless.diagrams.run.scale import shelves
from gapless.diagrams.run.words import notes, totals, verdict

DOC = Path(__file__).parents[2] / "docs" / "events.md"
START_S = 1_767_225_600.0
STREAM = {"channel": "ticker", "symbol": "BTC/USD"}


def line(event: str, at: float, **fields: object) -> bytes:
    about = STREAM if event not in {"StateChanged", "ReconnectGaveUp", "RestRequest", "Fault"} else {}
    moment = "received_at" if event == "MarketData" else "at"
    return json.dumps({"event": event, **about, moment: START_S + at, **fields}).encode() + b"\n"


def data(at: float, number: int | None, source: str = "LIVE", **fields: object) -> bytes:
    return line("MarketData", at, sequence_id=number, source=source, **fields)


def move(at: float, before: str, after: str, trigger: str = "DATA_FLOWS", generation: int = 1) -> bytes:
    words = {"trigger": trigger, "reason": "because", "generation": generation}
    return line("StateChanged", at, before=before, after=after, **words)


def gap(event: str, at: float, first: int, last: int | None, reason: str = "rest") -> bytes:
    return line(event, at, start_seq=first, end_seq=last, reason=reason)


def run_of(*lines: bytes) -> Run:
    return read_run(lines)


def holes(run: Run) -> list[tuple[int, int, float, float, Fate]]:
    (stream,) = run.streams
    found = [hole for each in stream.stretches for hole in each.holes]
    return sorted(
        (each.first, each.last, each.found_at - START_S, each.ended_at - START_S, each.fate) for each in found
    )


def test_the_stays_in_states_join_up_from_the_first_line_to_the_last() -> None:
    run = run_of(
        data(0, 1),
        move(1, "RECONNECTING", "RESYNCING"),
        move(2, "RESYNCING", "CONNECTED", "RESYNCED"),
        move(3, "CONNECTED", "CONNECTED", "ROTATED", 2),
        data(5, 2),
    )

    assert [(each.state, each.start - START_S, each.end - START_S) for each in run.bands] == [
        (State.RECONNECTING, 0, 1),
        (State.RESYNCING, 1, 2),
        (State.CONNECTED, 2, 5),
    ]
    assert [(each.number, each.dial) for each in run.generations] == [(1, Dial.ATTEMPT), (2, Dial.ROTATION)]


def test_each_attempt_begins_where_it_was_dialled() -> None:
    run = run_of(
        move(1, "RECONNECTING", "REST_FALLBACK", "LINK_LOST"),
        move(3, "REST_FALLBACK", "RECONNECTING", "RETRY_DUE", 2),
        line("ReconnectGaveUp", 9, attempts=2, reason="refused"),
    )

    assert [each.at - START_S for each in run.generations] == [1, 3]
    assert [each - START_S for each in run.gave_up_at] == [9]


def test_the_circuit_is_open_from_one_line_to_another_or_to_the_end() -> None:
    run = run_of(
        line("CircuitChanged", 1, circuit="closed"),
        line("CircuitChanged", 2, circuit="open"),
        line("CircuitChanged", 7, circuit="closed"),
        line("CircuitChanged", 8, circuit="open"),
        data(9, 1),
    )

    assert [(start - START_S, end - START_S) for start, end in run.circuit_open] == [(2, 7), (8, 9)]


def test_a_gap_that_fills_in_parts_is_as_many_holes() -> None:
    run = run_of(
        gap("GapFound", 1, 10, 19),
        gap("GapFilled", 2, 10, 12),
        gap("ContinuityLost", 3, 15, 16, "evicted"),
        data(4, 20),
    )

    assert holes(run) == [
        (10, 12, 1, 2, Fate.FILLED),
        (13, 14, 1, 4, Fate.OPEN),
        (15, 16, 1, 3, Fate.LOST),
        (17, 19, 1, 4, Fate.OPEN),
    ]
    (stream,) = run.streams
    assert (stream.gaps, stream.filled, stream.lost, stream.missing) == (1, 3, 2, 5)
    assert verdict(run) == "5 ids still missing at the end, 2 ids lost"


def test_one_line_may_close_neighbouring_gaps_found_at_different_times() -> None:
    run = run_of(gap("GapFound", 1, 5, 6), gap("GapFound", 2, 8, 9), gap("GapFilled", 3, 5, 9))

    assert holes(run) == [(5, 6, 1, 3, Fate.FILLED), (8, 9, 2, 3, Fate.FILLED)]


def test_a_loss_that_was_never_a_gap_is_a_hole_without_duration() -> None:
    run = run_of(gap("ContinuityLost", 1, 5, 6, "no_history"))

    assert holes(run) == [(5, 6, 1, 1, Fate.LOST)]
    assert verdict(run) == "2 ids lost and reported, everything else delivered"


def test_refuted_ids_are_neither_filled_nor_lost() -> None:
    run = run_of(gap("GapFound", 1, 5, 6), gap("GapFilled", 2, 5, 6, "refuted"))

    (stream,) = run.streams
    assert holes(run) == [(5, 6, 1, 2, Fate.REFUTED)]
    assert (stream.filled, stream.lost, stream.missing) == (0, 0, 0)


def test_a_reset_begins_a_stretch_above_the_one_before() -> None:
    run = run_of(
        data(0, 5_000_000_000),
        data(1, 5_000_000_010),
        gap("ContinuityLost", 2, 5_000_000_011, None, "epoch_ended"),
        line("StreamReset", 2, old_epoch="e-1", new_epoch="e-2"),
        data(3, 1),
        data(4, 11),
    )

    (stream,) = run.streams
    below, above = shelves(stream)
    assert (below.low, below.high, above.low, above.high) == (5_000_000_000, 5_000_000_010, 1, 11)
    assert below.place(5_000_000_010) < above.place(1) < above.place(11) < 30
    assert above.stretch.epoch == "e-2"
    assert verdict(run) == "Whole, but for what the venue had not sent when it restarted"


def test_a_hole_far_beyond_the_data_does_not_flatten_them() -> None:
    run = run_of(data(0, 1), data(1, 100), gap("GapFound", 2, 101, 90_000), data(3, 90_001, "POLL"))
    without = run_of(data(0, 1), data(1, 100), gap("GapFound", 2, 101, 90_000))

    assert shelves(run.streams[0])[0].high == 90_001
    assert shelves(without.streams[0])[0].high == 199


def test_rest_requests_are_told_apart_by_their_answers() -> None:
    answers: list[tuple[int | None, str | None]] = [
        (200, None),
        (429, None),
        (418, None),
        (503, None),
        (None, "ReadTimeout"),
        (None, "cancelled"),
    ]
    run = run_of(*(line("RestRequest", 1, path="/", status=status, error=error) for status, error in answers))

    assert run.requests is not None
    assert [each.answer for each in run.requests] == [
        Answer.GIVEN,
        Answer.LIMITED,
        Answer.LIMITED,
        Answer.FAILED,
        Answer.FAILED,
        Answer.CANCELLED,
    ]
    assert "6 REST requests, 2 of them 429" in totals(run)


def test_without_requests_the_arrivals_of_data_are_what_is_known() -> None:
    run = run_of(data(0, 1), data(1, 2, "POLL"), data(1, 3, "POLL"), data(2, 4, "BACKFILL"))

    assert run.requests is None
    assert [each - START_S for each in run.rest_data_at] == [1, 2]


def test_data_without_ids_are_counted() -> None:
    run = run_of(data(0, None), data(1, None))

    (stream,) = run.streams
    assert not stream.numbered
    assert stream.stretches[0].points[known.Source.LIVE].ids == [1, 2]


def test_the_busiest_streams_come_first() -> None:
    run = run_of(data(0, 1, symbol="A"), data(0, 1, symbol="B"), data(1, 2, symbol="B"))

    assert [each.name for each in run.streams] == ["ticker:B", "ticker:A"]


def test_what_is_left_out_is_said() -> None:
    run = run_of(
        move(5, "RECONNECTING", "RESYNCING"),
        move(1, "RESYNCING", "CONNECTED"),
        b'{"event":"FromTheFuture","what":1}\n',
        b'{"event":"GapFou',
    )

    assert run.unknown == {"FromTheFuture": 1}
    assert all(each.end >= each.start for each in run.bands)
    assert notes(run, drawn=0, as_image=False) == [
        "The clock of this machine was set back 1 time; times are as written.",
        "Lines of other kinds, left out: FromTheFuture (1).",
        "The last line is cut off, and left out.",
    ]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (b"what?\n", "malformed"),
        (b"[1]\n", "got `array`"),
        (b'{"at":1}\n', "missing required field `event`"),
        (b'{"event":"GapFound","channel":"a","symbol":"b"}\n', "missing required field `start_seq`"),
        (gap("GapFound", 1, 9, 4), "expected start_seq <= end_seq, got 9..4"),
        (gap("GapFound", 1, -1, 4), ">= 0"),
        (move(1, "CONNECTED", "ON_FIRE"), "Invalid enum value 'ON_FIRE'"),
        (data(1e13, 1), "<= 100000000000.0"),
        (b'{"event":"MarketData","symbol":"\xff"}\n', "got"),
        (b"[" * 100_000 + b"\n", "got '[[["),
    ],
)
def test_a_bad_line_is_named_with_what_was_expected_and_what_came(bad: bytes, says: str) -> None:
    with pytest.raises(LineError) as caught:
        run_of(data(0, 1), b"\n", bad, data(1, 2))

    message = str(caught.value)
    assert message.startswith("line 3: expected an event of `gapless watch --json`, one JSON object a line: ")
    assert says in message
    assert len(message) < 400


def test_an_empty_run_and_a_single_event_are_runs() -> None:
    assert verdict(run_of()) == "An empty run: no line tells of anything"
    assert verdict(run_of(move(0, "RECONNECTING", "RESYNCING"))) == "No data"
    assert run_of(data(0, 7)).length_s == 0


def test_what_a_controller_says_is_what_is_read() -> None:
    """Its own structs against ours: a field that is renamed there would be missing here."""
    moment = {"at": START_S}
    stream = {"channel": "ticker", "symbol": "BTC/USD", "epoch": "e-1"}
    events = [
        StateChanged(
            before=State.RECONNECTING,
            trigger=Trigger.DATA_FLOWS,
            after=State.RESYNCING,
            reason="market data",
            generation=1,
            retry_in_s=None,
            unverified=False,
            at=START_S,
        ),
        MarketData(
            channel="ticker",
            symbol="BTC/USD",
            sequence_id=2**63 - 1,
            epoch="e-1",
            source=Source.BACKFILL,
            timestamp="",
            price=1.0,
            bid=None,
            ask=None,
            volume_24h=None,
            received_at=START_S,
            generation=1,
        ),
        msgspec.convert(
            {"event": "GapFound", **stream, **moment, "start_seq": 1, "end_seq": 9, "reason": "x"}, GapFound
        ),
        msgspec.convert(
            {"event": "GapFilled", **stream, **moment, "start_seq": 1, "end_seq": 4, "reason": "rest"}, GapFilled
        ),
        msgspec.convert(
            {"event": "ContinuityLost", **stream, **moment, "start_seq": 5, "end_seq": 9, "reason": "evicted"},
            ContinuityLost,
        ),
    ]

    run = run_of(*msgspec.json.Encoder().encode_lines(events).splitlines(keepends=True))

    assert (run.total(known.Source.BACKFILL), run.transitions, run.unknown) == (1, 1, {})
    assert [(each[0], each[1], each[4]) for each in holes(run)] == [(1, 4, Fate.FILLED), (5, 9, Fate.LOST)]


@pytest.mark.parametrize("kind", sorted(known.KINDS - {"RestRequest", "Fault"}))
def test_every_field_that_is_read_is_documented(kind: str) -> None:
    section = DOC.read_text(encoding="utf-8").split(f"### {kind}\n")[1].split("\n## ")[0].split("\n### ")[0]
    for field in msgspec.structs.fields(getattr(known, kind)):
        assert f"| `{field.name}` |" in section


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    assert read_run([b"\xef\xbb\xbf" + data(1.0, 1), data(2.0, 2)]) == read_run([data(1.0, 1), data(2.0, 2)])


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"])
def test_utf_16_is_named(mark: bytes) -> None:
    with pytest.raises(LineError, match="the file is UTF-16; expected UTF-8"):
        read_run([mark + b"{\x00"])
