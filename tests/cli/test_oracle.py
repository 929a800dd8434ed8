"""The demo's check: a whole run passes, and each way of breaking the contract is found."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec
import pytest

from gapless.cli.oracle import VIOLATIONS_MAX, Observed, Record, Silence, Terms, Verdict, busiest_second, judge
from gapless.controller import (
    AnyEvent,
    ContinuityLost,
    GapFilled,
    GapFound,
    MarketData,
    Source,
    State,
    StateChanged,
    StreamReset,
    Trigger,
)
from gapless.simulator.testkit.deliveries import Issued, Point, StreamAccount, StreamKey, spans

OLD = StreamKey("e-1", "ticker", "BTC/USD")
NEW = StreamKey("e-2", "ticker", "BTC/USD")
TERMS = Terms(failures={"drop": 2, "restart": 1}, silence_max_s=2.1, requests_per_s_max=10)

Events = list[AnyEvent]


def price(number: int) -> float:
    return 100.0 + number


def issued(last: int, owed_from: int | None) -> Issued:
    points = [Point(f"t-{number}", price(number), 1.0, 2.0, 3.0) for number in range(1, last + 1)]
    return Issued(points=points, owed_from=owed_from)


def datum(number: int, key: StreamKey = OLD, source: Source = Source.LIVE) -> MarketData:
    return MarketData(
        channel=key.channel,
        symbol=key.symbol,
        sequence_id=number,
        epoch=key.epoch,
        source=source,
        timestamp=f"t-{number}",
        price=price(number),
        bid=1.0,
        ask=2.0,
        volume_24h=3.0,
        received_at=0.0,
        generation=1,
    )


def found(start: int, end: int, key: StreamKey = OLD) -> GapFound:
    return GapFound(
        channel=key.channel, symbol=key.symbol, epoch=key.epoch, start_seq=start, end_seq=end, reason="", at=0.0
    )


def filled(start: int, end: int, key: StreamKey = OLD) -> GapFilled:
    return GapFilled(
        channel=key.channel, symbol=key.symbol, epoch=key.epoch, start_seq=start, end_seq=end, reason="rest", at=0.0
    )


def lost(start: int, end: int | None, key: StreamKey = OLD) -> ContinuityLost:
    return ContinuityLost(
        channel=key.channel, symbol=key.symbol, epoch=key.epoch, start_seq=start, end_seq=end, reason="", at=0.0
    )


def reset() -> StreamReset:
    return StreamReset(channel="ticker", symbol="BTC/USD", old_epoch="e-1", new_epoch="e-2", at=0.0)


def move(before: State, trigger: Trigger, after: State) -> StateChanged:
    return StateChanged(
        before=before,
        trigger=trigger,
        after=after,
        reason="",
        generation=1,
        retry_in_s=None,
        unverified=False,
        at=0.0,
    )


RECORD = Record(
    issued={OLD: issued(10, owed_from=3), NEW: issued(4, owed_from=1)},
    injected={"drop": 2, "restart": 1},
    requests_at=[0.0, 0.5, 2.0],
)

WHOLE: Events = [
    datum(3),
    move(State.RECONNECTING, Trigger.DATA_FLOWS, State.RESYNCING),
    move(State.RESYNCING, Trigger.RESYNCED, State.CONNECTED),
    found(4, 5),
    datum(6),
    move(State.CONNECTED, Trigger.GAP_FOUND, State.RESYNCING),
    datum(4, source=Source.BACKFILL),
    datum(5, source=Source.BACKFILL),
    filled(4, 5),
    move(State.RESYNCING, Trigger.RESYNCED, State.CONNECTED),
    datum(7),
    move(State.CONNECTED, Trigger.IDLE, State.SILENT),
    datum(8, source=Source.POLL),
    move(State.SILENT, Trigger.SILENCE_CONFIRMED, State.REST_FALLBACK),
    lost(9, None),
    reset(),
    move(State.REST_FALLBACK, Trigger.RETRY_DUE, State.RECONNECTING),
    found(1, 3, NEW),
    datum(4, NEW),
    move(State.RECONNECTING, Trigger.DATA_FLOWS, State.RESYNCING),
    datum(1, NEW),
    datum(2, NEW),
    filled(1, 2, NEW),
    lost(3, 3, NEW),
    move(State.RESYNCING, Trigger.RESYNCED, State.CONNECTED),
]


def check(
    events: Sequence[AnyEvent] = tuple(WHOLE),
    *,
    record: Record = RECORD,
    terms: Terms = TERMS,
    silences: Sequence[Silence] = (Silence(found_after_s=2.01),),
) -> Verdict:
    return judge(record, Observed(events=events, silences=silences), terms)


def test_a_whole_run_passes() -> None:
    verdict = check()

    assert verdict.violations == ()
    assert verdict.ok
    assert (verdict.owed, verdict.delivered, verdict.unreported, verdict.duplicates) == (12, 9, 0, 0)
    assert verdict.lost_reported == 3
    assert verdict.states == {"RECONNECTING": 2, "RESYNCING": 3, "CONNECTED": 3, "SILENT": 1, "REST_FALLBACK": 1}
    assert verdict.silence_found_after_s == 2.01
    assert verdict.rest_requests_per_s_max == 2
    assert verdict.failures == {"drop": 2, "restart": 1}


def without(event: AnyEvent) -> Callable[[Events], Events]:
    return lambda events: [each for each in events if each != event]


def instead_of(event: AnyEvent, *others: AnyEvent) -> Callable[[Events], Events]:
    def change(events: Events) -> Events:
        at = events.index(event)
        return [*events[:at], *others, *events[at + 1 :]]

    return change


def swapped(one: AnyEvent, other: AnyEvent) -> Callable[[Events], Events]:
    def change(events: Events) -> Events:
        first, second = events.index(one), events.index(other)
        changed = list(events)
        changed[first], changed[second] = changed[second], changed[first]
        return changed

    return change


def then(event: AnyEvent) -> Callable[[Events], Events]:
    return lambda events: [*events, event]


PLANTED: dict[str, tuple[Callable[[Events], Events], str]] = {
    "missing": (without(datum(7)), "in e-1: ids 7 are owed and were neither delivered nor reported lost"),
    "missing at the start": (without(datum(3)), "ids 3 are owed"),
    "missing at the end": (without(datum(4, NEW)), "in e-2: ids 4 are owed"),
    "an epoch's end unreported": (without(lost(9, None)), "ids 9..10 are owed"),
    "twice": (then(datum(2, NEW)), "ids 2 were delivered more than once"),
    "lost and delivered": (then(datum(3, NEW)), "in e-2: ids 3 were delivered and reported lost"),
    "lost twice": (then(lost(3, 3, NEW)), "ids 3 were reported lost more than once"),
    "lost and never issued": (then(lost(5, 6, NEW)), "5..6 were reported lost, issued were 1..4"),
    "never issued": (then(datum(5, NEW)), "in e-2: ids 5 were delivered and never issued"),
    "of an unknown epoch": (then(datum(1, StreamKey("e-9", "ticker", "BTC/USD"))), "in e-9: ids 1 were delivered and"),
    "of an unknown stream": (then(datum(1, StreamKey("e-2", "ticker", "X"))), "ticker:X in e-2: ids 1 were"),
    "nameless": (
        then(msgspec.structs.replace(datum(4, NEW), sequence_id=None)),
        "1 data came without a sequence id",
    ),
    "wrong price": (
        instead_of(datum(7), msgspec.structs.replace(datum(7), price=1.0)),
        "7 was delivered as ('t-7', 1.0, 1.0, 2.0, 3.0), issued as ('t-7', 107.0, 1.0, 2.0, 3.0)",
    ),
    "wrong time": (instead_of(datum(7), msgspec.structs.replace(datum(7), timestamp="t-8")), "7 was delivered as"),
    "wrong bid": (instead_of(datum(7), msgspec.structs.replace(datum(7), bid=None)), "7 was delivered as"),
    "of the epoch left": (
        instead_of(lost(9, None), lost(10, None), reset(), datum(9)),
        "9 was delivered after the stream had left this epoch",
    ),
    "filled, never found": (without(found(4, 5)), "ids 4..5 were GapFilled without an open GapFound"),
    "filled before it was found": (
        swapped(found(4, 5), filled(4, 5)),
        "ids 4..5 were GapFilled without an open GapFound",
    ),
    "filled twice": (then(filled(4, 5)), "ids 4..5 were GapFilled without an open GapFound"),
    "filled with nothing": (
        swapped(filled(4, 5), datum(5, source=Source.BACKFILL)),
        "ids 5 were GapFilled before they were delivered",
    ),
    "found and never closed": (without(filled(4, 5)), "ids 4..5 were GapFound and neither GapFilled nor"),
    "connected with a gap": (
        without(lost(3, 3, NEW)),
        "in e-2: CONNECTED was claimed while ids 3 were known to be missing",
    ),
    "a transition that is no row": (
        instead_of(
            move(State.SILENT, Trigger.SILENCE_CONFIRMED, State.REST_FALLBACK),
            move(State.SILENT, Trigger.RETRY_DUE, State.REST_FALLBACK),
        ),
        "SILENT -> REST_FALLBACK by RETRY_DUE is not in the transition table",
    ),
    "a transition to elsewhere": (
        instead_of(
            move(State.SILENT, Trigger.SILENCE_CONFIRMED, State.REST_FALLBACK),
            move(State.SILENT, Trigger.SILENCE_CONFIRMED, State.RECONNECTING),
        ),
        "SILENT -> RECONNECTING by SILENCE_CONFIRMED is not in the transition table",
    ),
    "a tolerated trigger as a transition": (
        then(move(State.CONNECTED, Trigger.DATA_FLOWS, State.CONNECTED)),
        "CONNECTED -> CONNECTED by DATA_FLOWS is not in the transition table",
    ),
    "a transition left out": (
        without(move(State.CONNECTED, Trigger.IDLE, State.SILENT)),
        "SILENT -> REST_FALLBACK by SILENCE_CONFIRMED came while the state was CONNECTED",
    ),
    "a state never entered": (
        without(move(State.CONNECTED, Trigger.IDLE, State.SILENT)),
        "the state SILENT was never entered",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_violation_is_found(name: str) -> None:
    plant, says = PLANTED[name]
    events = plant(list(WHOLE))
    assert events != WHOLE

    verdict = check(events)

    assert not verdict.ok
    assert any(says in text for text in verdict.violations), verdict.violations


def test_counts_of_a_broken_run() -> None:
    events = [*(each for each in WHOLE if each != datum(7)), datum(2, NEW), datum(2, NEW)]

    verdict = check(events)

    assert (verdict.unreported, verdict.duplicates, verdict.delivered) == (1, 2, 8)


def test_ids_before_the_first_mark_are_not_owed_but_may_come() -> None:
    assert check([datum(2), *WHOLE]).ok


def test_an_epoch_nobody_subscribed_in_owes_nothing() -> None:
    record = replace(RECORD, issued={**RECORD.issued, StreamKey("e-0", "ticker", "BTC/USD"): issued(7, owed_from=None)})

    assert check(record=record).owed == 12


@pytest.mark.parametrize(("happened", "ok"), [(1, False), (2, True), (3, True)])
def test_a_failure_that_did_not_happen_is_found(happened: int, ok: bool) -> None:
    verdict = check(record=replace(RECORD, injected={"drop": happened, "restart": 1}))

    assert verdict.ok is ok
    assert ok or verdict.violations == ("the failure drop was to happen 2 times and happened 1 times",)


@pytest.mark.parametrize(
    ("silence", "ok"),
    [
        (Silence(found_after_s=2.1), True),
        (Silence(found_after_s=2.11), False),
        (Silence(found_after_s=2.11, stolen_s=0.02), True),
        (Silence(found_after_s=2.2, stolen_s=0.02), False),
    ],
)
def test_a_late_silence_is_found_unless_the_machine_stood_still(silence: Silence, ok: bool) -> None:
    verdict = check(silences=[Silence(found_after_s=1.9), silence])

    assert verdict.ok is ok
    assert verdict.silence_found_after_s == silence.found_after_s


def test_no_silence_at_all() -> None:
    assert check(silences=[]).silence_found_after_s is None


def test_too_many_requests_are_found() -> None:
    verdict = check(record=replace(RECORD, requests_at=[index / 11 for index in range(11)]))

    assert verdict.rest_requests_per_s_max == 11
    assert verdict.violations == (
        "11 REST requests within one second; the budget is 10 (as the exchange counted them)",
    )


@pytest.mark.parametrize(
    ("at", "busiest"),
    [
        ([], 0),
        ([5.0], 1),
        ([0.0, 1.0, 2.0], 1),
        ([0.0, 0.999, 1.0, 1.5], 3),
        ([0.0, 0.0, 0.0], 3),
        ([0.0, 0.5, 0.9, 1.4, 1.6, 1.8, 3.0], 4),
    ],
)
def test_busiest_second(at: list[float], busiest: int) -> None:
    assert busiest_second(at) == busiest


def test_a_flood_of_violations_is_cut_short() -> None:
    wrong = [msgspec.structs.replace(datum(number), price=0.0) for number in range(1, 11)] * 10

    violations = check([*WHOLE, *wrong]).violations

    assert len(violations) == VIOLATIONS_MAX + 1
    assert violations[-1].startswith("and ")


def test_spans_are_short() -> None:
    assert spans([3, 1, 2, 7]) == "ids 1..3, 7"
    assert spans(range(0, 40, 2)).endswith("and 10 ranges more")


def test_the_first_and_the_last_id_of_an_epoch_can_be_lost_or_wrong() -> None:
    ends_lost = [each for each in WHOLE if each not in (datum(1, NEW), datum(4, NEW), filled(1, 2, NEW))]
    at = ends_lost.index(lost(3, 3, NEW))
    ends_lost[at:at] = [filled(2, 2, NEW), lost(1, 1, NEW), lost(4, 4, NEW)]
    assert check(ends_lost).violations == ()

    wrong = [msgspec.structs.replace(each, price=0.0) if each == datum(4, NEW) else each for each in WHOLE]
    wrong = [msgspec.structs.replace(each, price=0.0) if each == datum(1, NEW) else each for each in wrong]
    assert len(check(wrong).violations) == 2


def test_an_earlier_double_report_is_not_forgotten() -> None:
    events = [*WHOLE, lost(3, 3, NEW), lost(9, 9)]

    assert len([text for text in check(events).violations if "reported lost more than once" in text]) == 2


def test_the_end_of_an_epoch_closes_all_its_gaps() -> None:
    events = list(WHOLE)
    events.insert(events.index(lost(9, None)), found(9, 10))

    assert check(events).ok


def test_the_limits_themselves_are_allowed() -> None:
    assert check(record=replace(RECORD, requests_at=[index / 10 for index in range(20)])).ok
    wrong = [msgspec.structs.replace(datum(2, NEW), price=0.0) for _ in range(VIOLATIONS_MAX - 1)]
    assert len(check([*WHOLE, *wrong]).violations) == VIOLATIONS_MAX


# -- what a socket says under a wrong id ------------------------------------------------------------------------------


def test_what_the_venue_said_under_a_wrong_id_is_taken_for_it_once() -> None:
    """A client that lacks id 3 cannot know that what comes under it was issued as 7."""
    seventh = Point("t-7", price(7), 1.0, 2.0, 3.0)
    lie = msgspec.structs.replace(datum(7), sequence_id=3)

    def violations(said: dict[int, set[Point]], *events: MarketData) -> list[str]:
        account = StreamAccount(OLD, replace(issued(9, None), misnamed=said))
        for event in events:
            account.enter(event)
        return list(account.violations(settled=False))

    assert violations({3: {seventh}}, lie) == []
    assert "3 was delivered as" in " ".join(violations({}, lie))
    assert "3 was delivered as" in " ".join(violations({4: {seventh}}, lie))
    assert "more than once" in " ".join(violations({3: {seventh}}, lie, datum(3)))
