"""A cursor can always be opened, and the holes it leaves do not grow from crash to crash."""

from random import Random

import pytest
from trio.testing import MockClock

from gapless.controller import ContinuityLost, GapFound, Stream, open_controller
from gapless.controller.cursor import Cursor, StreamCursor
from gapless.controller.joined_holes import joined, share
from gapless.controller.stream_ledger import INTERVALS_MAX, RESUMED_MAX, StreamLedger
from tests.controller.resume_kit import read, stored
from tests.kit import ETHER, TICKER, virtual_wall_clock, world


def every_second(count: int) -> list[tuple[int, int]]:
    return [(number, number) for number in range(2, 2 * count + 2, 2)]


@pytest.mark.parametrize("streams", [[TICKER, ETHER], [TICKER]], ids=["two streams", "one stream"])
async def test_a_cursor_with_more_holes_than_the_app_can_be_told_of_opens(
    streams: list[Stream], autojump_clock: MockClock
) -> None:
    count = 60_000
    async with world(rate_per_s=0) as w:
        epoch = w.exchange.epoch
        places = [
            StreamCursor(
                channel=each.channel,
                symbol=each.symbol,
                epoch=epoch,
                next_id=2 * count + 2,
                holes=every_second(count),
            )
            for each in streams
        ]
        w.network.black_hole(port=w.rest_port)
        async with open_controller(
            ws_url=w.ws_url,
            rest_url=w.rest_url,
            streams=streams,
            random=Random(1),
            wall_clock=virtual_wall_clock,
            resume=stored(Cursor(streams=places, epoch=epoch)),
        ) as controller:
            events = await read(controller, 1)
            after = stored(controller.cursor())
    found = [each for each in events if isinstance(each, GapFound)]
    assert len(found) == RESUMED_MAX * len(streams)
    assert not [each for each in events if isinstance(each, ContinuityLost)]
    for place in after.streams:
        of_it = [(each.start_seq, each.end_seq) for each in found if each.symbol == place.symbol]
        assert place.holes == of_it
        owed = {number for start, end in of_it for number in range(start, end + 1)}
        assert owed >= set(range(2, 2 * count + 2, 2)), "none is forgotten"


def test_open_gaps_do_not_grow_from_crash_to_crash() -> None:
    ledger, number = StreamLedger(), 1
    ledger.accept(number)
    most = []
    for _life in range(15):
        for _ in range(2 * INTERVALS_MAX):
            number += 2
            ledger.accept(number)
            list(ledger.excess())
        most.append(len(ledger.gaps))
        holes, ledger = joined(list(ledger.gaps), share([len(ledger.gaps)])), StreamLedger()
        ledger.resume(number + 1, holes)
    assert most[0] == INTERVALS_MAX
    assert max(most) == most[-1] == RESUMED_MAX + INTERVALS_MAX


def test_a_ledger_alone_gives_up_what_is_beyond_the_bound() -> None:
    ledger = StreamLedger()
    holes = every_second(RESUMED_MAX + INTERVALS_MAX + 5)
    ledger.resume(holes[-1][1] + 1, holes)
    assert list(ledger.excess()) == holes[:5]


@pytest.mark.parametrize(
    ("counts", "most"),
    [
        ([], RESUMED_MAX),
        ([5, 9], RESUMED_MAX),
        ([50_000], RESUMED_MAX),
        ([10_000] * 4, RESUMED_MAX),
        ([10_000] * 5, 8_000),
        ([100] * 100 + [20_000] * 4, 7_500),
        ([1_000] * 50_000, 1),
    ],
)
def test_who_has_few_holes_leaves_room_to_the_others(counts: list[int], most: int) -> None:
    assert share(counts) == most


def test_the_nearest_holes_become_one() -> None:
    holes = [(1, 1), (9, 9), (11, 12), (99, 99)]
    assert [joined(holes, most) for most in (9, 4, 3, 1)] == [holes, holes, [(1, 1), (9, 12), (99, 99)], [(1, 99)]]
