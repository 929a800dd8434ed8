"""The flows of the specification, with its default timings, in virtual time."""

from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import GapFilled, GapFound, Source, State, StreamReset, Trigger
from gapless.simulator import FailureMode, FailuresConfig
from gapless.simulator.failure_modes import Mode, RateLimitMode, SelectMode, ServerErrorMode
from gapless.simulator.network import Direction
from tests.kit import ETHER, SESSION, TICKER, world


async def test_live_data_flows_and_the_feed_becomes_whole(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(5)
        assert feed.path == ["RECONNECTING", "RESYNCING", "CONNECTED"]
        assert len(feed.ids(Source.LIVE)) >= 50
        w.assert_contract(feed, settled=False)


async def test_idle_watch_detects_silence_and_rest_takes_over_until_the_link_is_back(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(5)
        w.fail(FailuresConfig(silent_connection=FailureMode(enabled=True, after_messages=1, count=1)))
        await trio.sleep(0.5)
        last_live_at = feed.data[-1].received_at
        await feed.until_state(State.SILENT)
        silent = feed.moved(State.SILENT)[0]
        assert silent.trigger is Trigger.IDLE
        assert silent.at - last_live_at == pytest.approx(10.0, abs=0.1)
        await feed.until_state(State.REST_FALLBACK)
        assert feed.moved(State.REST_FALLBACK)[0].trigger is Trigger.SILENCE_CONFIRMED
        assert "REST has moved on" in feed.moved(State.REST_FALLBACK)[0].reason
        assert feed.ids(Source.POLL), "REST data is on its way before the verdict"
        await feed.until_state(State.CONNECTED)
        await trio.sleep(5)
        w.assert_contract(feed, settled=False)


async def test_heartbeat_detects_silence(autojump_clock: MockClock) -> None:
    """Before the idle window closes, so PONG_OVERDUE comes first: a window far longer than the heartbeat's."""
    async with world() as w, w.feed(ws_idle_timeout=300.0) as feed:
        await feed.until_state(State.CONNECTED)
        opened_at = feed.moves[0].at
        await trio.sleep(50)
        w.network.black_hole(Direction.TO_CLIENT, w.ws_port)
        await feed.until_state(State.SILENT, within_s=100)
        silent = feed.moved(State.SILENT)[0]
        assert silent.trigger is Trigger.PONG_OVERDUE
        assert silent.at - opened_at == pytest.approx(70.0, abs=0.5), "PING after 60 s, PONG overdue 10 s later"
        await feed.until_state(State.REST_FALLBACK)
        w.network.heal()
        await feed.until_state(State.CONNECTED)
        await trio.sleep(5)
        w.assert_contract(feed, settled=False)


async def test_rest_fallback_fetches_every_two_seconds_and_stops_when_live_data_flows(
    autojump_clock: MockClock,
) -> None:
    async with world() as w, w.feed(reconnect_max_attempts=None) as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(10)
        w.network.refuse(w.ws_port)
        w.exchange.disconnect()
        await feed.until_state(State.REST_FALLBACK)
        down_at = feed.moves[-1].at
        await trio.sleep(60)
        assert w.requests_since(down_at) == pytest.approx(30, abs=2)
        assert feed.ids(Source.POLL)
        w.network.accept(w.ws_port)
        await feed.until_state(State.CONNECTED, within_s=100)
        connected_at = feed.moves[-1].at
        await trio.sleep(30)
        assert w.requests_since(connected_at) == 0
        w.assert_contract(feed, settled=False)


async def test_reconnection_subscribes_anew_and_fills_the_outage(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(10)
        w.exchange.disconnect()
        await feed.until_state(State.REST_FALLBACK)
        lost = feed.moved(State.REST_FALLBACK)[0]
        assert lost.trigger is Trigger.LINK_LOST
        assert lost.retry_in_s == 0.0, "a link that earned it retries at once"
        await feed.until_state(State.CONNECTED)
        assert feed.controller.generation == 2
        await trio.sleep(5)
        w.assert_contract(feed, settled=False)


async def test_a_missing_id_is_a_gap_and_is_reconciled(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(FailuresConfig(drop=SelectMode(enabled=True, ids=(30, 31, 40))))
        await trio.sleep(10)
        gaps = [(gap.start_seq, gap.end_seq) for gap in feed.of(GapFound) if isinstance(gap, GapFound)]
        assert gaps[-2:] == [(30, 31), (40, 40)]
        filled = [
            (each.start_seq, each.end_seq, each.reason) for each in feed.of(GapFilled) if isinstance(each, GapFilled)
        ]
        assert filled[-2:] == [(30, 31, "rest"), (40, 40, "rest")]
        assert feed.path[-4:] == ["RESYNCING", "CONNECTED", "RESYNCING", "CONNECTED"]
        assert feed.controller.generation == 1, "the link is good: nothing but the gap is touched"
        w.assert_contract(feed, settled=False)


async def test_duplicates_and_reordered_frames_are_delivered_once(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(FailuresConfig(duplicate=SelectMode(enabled=True, every_nth=3)))
        await trio.sleep(10)
        assert feed.controller.stats.duplicates >= 25
        w.assert_contract(feed, settled=False)


async def test_429_pauses_for_as_long_as_the_host_asks(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(
            FailuresConfig(
                drop=SelectMode(enabled=True, ids=(60,)),
                rate_limited=RateLimitMode(enabled=True, count=2, retry_after_s=7),
            )
        )
        await feed.until(lambda: bool(feed.lost) or 60 in feed.ids(Source.BACKFILL))
        limited = [each.time_s for each in w.exchange.requests if each.status == 429]
        served = [each.time_s for each in w.exchange.requests if each.time_s > limited[-1]]
        assert len(limited) == 2
        assert limited[1] - limited[0] >= 7.0
        assert served[0] - limited[1] >= 7.0
        await trio.sleep(1)
        w.assert_contract(feed, settled=False)


async def test_silent_mode_is_isolated_per_session(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed() as mine, w.feed(session_id="other") as other:
        await mine.until_state(State.CONNECTED)
        await other.until_state(State.CONNECTED)
        w.fail(FailuresConfig(silent_connection=FailureMode(enabled=True, after_messages=1, count=1)), SESSION)
        await trio.sleep(30)
        assert "SILENT" in mine.path
        assert other.path == ["RECONNECTING", "RESYNCING", "CONNECTED"]
        w.assert_contract(mine, settled=False)
        w.assert_contract(other, settled=False, session_id="other")


async def test_ten_quiet_minutes_without_a_reconnect(autojump_clock: MockClock) -> None:
    async with world(rate_per_s=0) as w, w.feed() as feed:
        await trio.sleep(1)
        w.publish(3)
        await feed.until_state(State.CONNECTED)
        await trio.sleep(600)
        assert feed.controller.generation == 1
        assert {move.trigger for move in feed.moves[2:]} == {Trigger.IDLE, Trigger.MARKET_QUIET, Trigger.RESYNCED}
        windows = [move.at for move in feed.moves if move.trigger is Trigger.IDLE]
        waits = [later - earlier for earlier, later in pairwise(windows)]
        assert waits[:2] == pytest.approx([20.0, 40.0], abs=1.0), "each quiet verdict doubles the window"
        assert max(waits) == pytest.approx(60.0, abs=1.0), "up to the heartbeat interval"
        w.publish()
        await trio.sleep(1)
        w.assert_contract(feed)


async def test_silence_while_rest_moves_on(autojump_clock: MockClock) -> None:
    """PONGs still come: only REST can tell that the socket is dead for data."""
    async with world() as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(FailuresConfig(pong_only=FailureMode(enabled=True, after_messages=1, count=1)))
        await feed.until_state(State.REST_FALLBACK)
        verdict = feed.moves[-1]
        assert verdict.trigger is Trigger.SILENCE_CONFIRMED
        assert verdict.at - feed.moved(State.SILENT)[0].at < 1.0
        await feed.until_state(State.CONNECTED)
        await trio.sleep(5)
        w.assert_contract(feed, settled=False)


async def test_silence_while_rest_is_down(autojump_clock: MockClock) -> None:
    """PONG but no word from REST: quiet once, unverified; the second time in a row the link is given up."""
    async with world(rate_per_s=0) as w, w.feed() as feed:
        await trio.sleep(1)
        w.publish(3)
        await feed.until_state(State.CONNECTED)
        w.fail(FailuresConfig(server_error=ServerErrorMode(enabled=True)))
        await feed.until_state(State.REST_FALLBACK, within_s=120)
        verdicts = [(move.trigger, move.unverified) for move in feed.moves if move.before is State.SILENT]
        assert verdicts == [(Trigger.MARKET_QUIET, True), (Trigger.SILENCE_CONFIRMED, True)]
        w.fail(FailuresConfig())
        await trio.sleep(30)
        w.publish(2)
        await trio.sleep(5)
        assert feed.controller.state is State.CONNECTED
        w.assert_contract(feed)


async def test_acknowledged_then_silent(autojump_clock: MockClock) -> None:
    async with world(failures=FailuresConfig(acknowledged_silent=Mode(enabled=True, count=2))) as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED, within_s=120)
        assert feed.path[:3] == ["RECONNECTING", "SILENT", "REST_FALLBACK"]
        await trio.sleep(5)
        w.assert_contract(feed, settled=False)


async def test_a_restarted_exchange_is_a_reset_reported_in_order(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed(TICKER, ETHER) as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(10)
        old = w.exchange.epoch
        w.exchange.restart(downtime_s=3.0)
        await trio.sleep(20)
        assert feed.controller.state is State.CONNECTED
        (reset,) = [e for e in feed.of(StreamReset) if isinstance(e, StreamReset) and e.symbol == TICKER.symbol]
        assert (reset.old_epoch, reset.new_epoch) == (old, w.exchange.epoch)
        at = feed.events.index(reset)
        tail = feed.lost[0]
        assert (tail.end_seq, tail.reason) == (None, "epoch_ended")
        assert feed.events.index(tail) < at
        assert all(event.epoch == old for event in feed.events[:at] if event in feed.data and event in feed.data)
        w.assert_contract(feed, TICKER, ETHER, settled=False)


async def test_leaving_is_immediate_whatever_the_peer_does(autojump_clock: MockClock) -> None:
    async with world() as w:
        async with w.feed() as feed:
            await feed.until_state(State.CONNECTED)
            w.network.black_hole(Direction.BOTH)
            await trio.sleep(3)
            left_at = trio.current_time()
        assert trio.current_time() - left_at <= 0.5
