"""The demo's story on virtual time and virtual sockets: the same code, a second instead of a quarter of a minute."""

from collections.abc import Callable
from io import StringIO
from itertools import pairwise
from typing import NoReturn

import msgspec
import pytest
import trio
from rich.console import Console
from trio.testing import MockClock

from gapless.cli.exchange_record import record_of
from gapless.cli.oracle import Observed, Terms, judge
from gapless.cli.progress import Progress
from gapless.cli.scene import CONFIG, Scene, Script
from gapless.cli.stage import SESSION_ID, Outcome, perform
from gapless.cli.story import CHAPTERS, LENGTH_MIN_S
from gapless.cli.summary import as_json, as_text
from gapless.cli.view import picture
from gapless.controller import State
from gapless.simulator import Trade
from gapless.simulator.network import VirtualNetwork


def wall_clock() -> float:
    return 1_767_225_600.0 + trio.current_time()


async def play(script: Script, look: Callable[[Scene], None] = lambda _: None) -> Outcome:
    """Play on a network of its own; every socket must be closed in the end."""

    async def show(scene: Scene) -> NoReturn:
        while True:
            look(scene)
            await trio.sleep(0.1)

    network = VirtualNetwork(seed=script.seed)
    with network.installed():
        outcome = await perform(script, show=show, wall_clock=wall_clock)
    assert network.open_sockets == 0
    return outcome


@pytest.fixture(scope="module")
def played() -> Outcome:
    """One story for all who only read its outcome."""
    return trio.run(play, Script(seconds=LENGTH_MIN_S), clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize("seconds", [LENGTH_MIN_S, 45.0])
async def test_the_story_goes_well(autojump_clock: MockClock, seconds: float) -> None:
    outcome = await play(Script(seconds=seconds))

    verdict = outcome.verdict
    assert verdict.violations == ()
    assert verdict.owed == verdict.delivered + verdict.lost_reported
    assert verdict.lost_reported >= 3
    assert all(verdict.states[state.name] for state in State)
    assert verdict.silence_found_after_s == pytest.approx(2.0, abs=0.01)
    assert seconds <= outcome.seconds < seconds + 2.0


def test_every_failure_of_the_story_happens(played: Outcome) -> None:
    happened = played.verdict.failures

    for chapter in CHAPTERS:
        for failure, times in chapter.failures.items():
            assert happened[failure] >= times


async def test_the_same_seed_gives_the_same_market(autojump_clock: MockClock) -> None:
    async def prices(seed: int) -> list[float]:
        seen: list[float] = []

        def look(scene: Scene) -> None:
            seen[:] = [each.price for each in scene.exchange.get_price_history("BTC/USD", channel="trade")][:5] or seen

        await play(Script(seconds=LENGTH_MIN_S, seed=seed), look)
        return seen

    first = await prices(seed=3)
    assert len(first) == 5
    assert await prices(seed=3) == first
    assert await prices(seed=4) != first


def recorded(count: int, seconds: float) -> tuple[Trade, ...]:
    """Trades at a steady rate, as a capture would give them."""
    return tuple(
        Trade(
            symbol="BTCUSDT",
            price=50_000.0 + number % 7,
            quantity=0.5,
            trade_id=1_000 + number,
            time_ns=round(1e18 + number * seconds / (count - 1) * 1e9),
            bid=49_999.0,
            ask=50_008.0,
        )
        for number in range(count)
    )


async def test_every_recorded_trade_is_owed(autojump_clock: MockClock) -> None:
    """The replay waits for the subscription, and the run for the replay's last trade."""
    outcome = await play(Script(trades=recorded(2_000, seconds=200.0), speed=10.0))

    verdict = outcome.verdict
    assert verdict.violations == ()
    assert verdict.owed == 2_000
    assert verdict.delivered + verdict.lost_reported == 2_000
    assert 20.0 <= outcome.seconds < 22.0


async def test_a_replay_is_cut_short_by_seconds(autojump_clock: MockClock) -> None:
    outcome = await play(Script(seconds=16.0, trades=recorded(2_000, seconds=200.0), speed=10.0))

    assert outcome.verdict.ok
    assert 1_500 < outcome.verdict.owed < 1_700
    assert outcome.seconds < 18.0


async def test_one_datum_taken_away_or_added_is_noticed(autojump_clock: MockClock) -> None:
    """The oracle on a real run: the same judge, one event less or more."""
    scenes: list[Scene] = []
    outcome = await play(Script(seconds=LENGTH_MIN_S), scenes.append)
    record = record_of(scenes[0].exchange, SESSION_ID, scenes[0].script.streams)
    terms = Terms(silence_max_s=2.1, requests_per_s_max=CONFIG.rate_limit_requests)
    events = outcome.tally.events
    data = [index for index, event in enumerate(events) if type(event).__name__ == "MarketData"]

    assert judge(record, Observed(events=events, silences=[]), terms).ok
    for index in data[5::100]:
        missing = judge(record, Observed(events=events[:index] + events[index + 1 :], silences=[]), terms)
        assert missing.unreported == 1
        assert not missing.ok
        twice = judge(record, Observed(events=[*events, events[index]], silences=[]), terms)
        assert twice.duplicates == 1
        assert not twice.ok


async def test_a_chapter_that_cannot_strike_does_not_hold_up_the_story(autojump_clock: MockClock) -> None:
    """A market that closes early: nothing is left to drop, cut or silence. The verdict says so; the demo ends."""
    trades = recorded(50, seconds=2.0)
    script = Script(seconds=LENGTH_MIN_S, trades=(*trades, msgspec.structs.replace(trades[-1], time_ns=2 * 10**18)))

    with trio.fail_after(300):
        outcome = await play(script)

    assert not outcome.verdict.ok
    assert any("the failure silent_connection was to happen" in text for text in outcome.verdict.violations)
    assert outcome.verdict.failures["restart"] == 1
    assert outcome.verdict.unreported == 0


async def test_an_interrupted_story_leaves_no_socket(autojump_clock: MockClock) -> None:
    for seconds in (0.0, 0.01, 1.0, 5.0, 6.5, 12.3):
        with trio.move_on_after(seconds) as scope:
            await play(Script(seconds=LENGTH_MIN_S))
        assert scope.cancelled_caught


async def test_progress_is_told_in_order(autojump_clock: MockClock) -> None:
    lines: list[str] = []
    progresses: list[Progress] = []

    def look(scene: Scene) -> None:
        if not progresses:
            progresses.append(Progress(scene))
        lines.extend(progresses[0].news())

    await play(Script(seconds=LENGTH_MIN_S), look)

    text = "\n".join(lines)
    for chapter in CHAPTERS:
        assert f"the exchange {chapter.what}" in text
    assert "CONNECTED -> SILENT by IDLE (no market data for 2 s)" in text
    assert "next attempt in" in text
    offsets = [float(line.split()[0]) for line in lines]
    assert all(later >= earlier - 0.1 for earlier, later in pairwise(offsets))


async def test_the_view_shows_what_happens_in_the_room_there_is(autojump_clock: MockClock) -> None:
    frames: dict[int, list[str]] = {24: [], 50: []}

    def look(scene: Scene) -> None:
        for height, shown in frames.items():
            console = Console(width=100, height=height, record=True, file=StringIO())
            console.print(picture(scene, height))
            shown.append(console.export_text())

    await play(Script(seconds=LENGTH_MIN_S), look)

    for height, shown in frames.items():
        assert max(frame.count("\n") for frame in shown) < height
        text = "".join(shown)
        for state in State:
            assert f" {state.name} " in text
        for words in ("ticker:BTC/USD", "has gone silent on this session", " of 10 in this second", "BACKFILL", "POLL"):
            assert words in text
    assert "repairing     nothing" in frames[50][0]
    assert any("repairing     t" in frame and " 4 ids" in frame for frame in frames[50])
    assert any("SILENCE_CONFIRMED: REST has moved on" in frame for frame in frames[50])


def test_the_summary_for_a_program(played: Outcome) -> None:
    figures = msgspec.json.decode(as_json(played))

    assert list(figures) == [
        "ok",
        "owed",
        "delivered",
        "unreported",
        "duplicates",
        "lost_reported",
        "states",
        "silence_found_after_s",
        "rest_requests_per_s_max",
        "failures",
        "violations",
        "seconds",
    ]
    assert figures["ok"] is True
    assert figures["violations"] == []
    assert set(figures["states"]) == {state.name for state in State}
    assert "\n" not in as_json(played)


def test_the_summary_for_a_person(played: Outcome) -> None:
    console = Console(width=200, record=True, file=StringIO())

    console.print(as_text(played))

    text = console.export_text()
    assert text.startswith("WHOLE: ")
    assert "0 missing, 0 twice" in text
    assert "silence found after       2.000 s (promised: 2.1 s)" in text
