"""What goes wrong besides the specification's flows: slow apps, hostile frames, peers that break their word."""

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import (
    ConfigurationError,
    GapFound,
    ReconnectExhaustedError,
    ReconnectGaveUp,
    SnapshotMissed,
    State,
    Stream,
    StreamRejected,
    Trigger,
    open_controller,
)
from gapless.simulator import FailureMode, FailuresConfig
from gapless.simulator.failure_modes import Mode, RefuseMode, SelectMode, ServerErrorMode
from gapless.simulator.network import Direction
from tests.kit import ETHER, TICKER, World, world

ORDERS = Stream("orders", "*")
BALANCE = Stream("balance", "*")


async def test_a_slow_app_costs_freshness_never_data(autojump_clock: MockClock) -> None:
    """100 events/s against 50 ms each, through a buffer of 100; then the market pauses and the app catches up."""
    async with world(rate_per_s=100.0) as w, w.feed(consume=False, buffer_size=100, price_history_limit=50) as feed:
        with trio.move_on_after(20):
            async for event in feed.controller:
                feed.events.append(event)
                await trio.sleep(0.05)
        assert feed.controller.stats.skipped > 1000
        assert not [move for move in feed.moves if move.after is State.SILENT], "a slow app is not a silence"
        with trio.move_on_after(20):
            async for event in feed.controller:
                feed.events.append(event)
        await feed.controller.wait_for(State.CONNECTED)
        found = [event for event in feed.events if isinstance(event, GapFound) and event.reason == "overflow"]
        assert found
        w.assert_contract(feed, settled=False)


async def test_an_app_that_never_reads_is_no_false_silence_and_costs_no_memory(autojump_clock: MockClock) -> None:
    async with world(rate_per_s=20.0) as w, w.feed(consume=False, buffer_size=100) as feed:
        await trio.sleep(60)
        assert feed.controller.state is State.RESYNCING
        assert len(feed.controller.history) <= 3
        assert feed.controller.events_held <= 110


async def test_attempts_are_spent_said_so_and_reconnect_starts_anew(autojump_clock: MockClock) -> None:
    async with world() as w:
        w.network.refuse(w.ws_port)
        async with w.feed(reconnect_max_attempts=3) as feed:
            await feed.until(lambda: bool(feed.of(ReconnectGaveUp)))
            assert feed.moves[-1].retry_in_s is None
            await trio.sleep(300)
            assert [move.trigger for move in feed.moves].count(Trigger.LINK_LOST) == 3
            assert feed.controller.state is State.REST_FALLBACK
            assert len(feed.data) > 1000, "collecting goes on"
            w.network.accept(w.ws_port)
            feed.controller.reconnect()
            await feed.until_state(State.CONNECTED)
            await trio.sleep(2)
            w.assert_contract(feed, settled=False)


async def wait_for_the_end(w: World) -> None:
    async with w.feed(reconnect_max_attempts=3, reconnect_exhausted="raise"):
        await trio.sleep(300)


async def test_spent_attempts_can_raise(autojump_clock: MockClock) -> None:
    async with world() as w:
        w.network.refuse(w.ws_port)
        with pytest.raises(ReconnectExhaustedError, match="3 attempts in a row failed, the last one: refused"):
            await wait_for_the_end(w)


async def test_a_stalled_handshake_and_a_silent_peer_are_bounded_by_one_deadline(autojump_clock: MockClock) -> None:
    async with world(failures=FailuresConfig(stalled_handshake=Mode(enabled=True, count=1))) as w, w.feed() as feed:
        await feed.until_state(State.REST_FALLBACK)
        (lost,) = feed.moves
        assert lost.trigger is Trigger.LINK_LOST
        assert lost.reason == "timed out: the handshake took more than 10 s"
        await feed.until_state(State.CONNECTED)


async def test_a_handshake_closed_half_way_is_noticed_at_once(autojump_clock: MockClock) -> None:
    refuse = RefuseMode(enabled=True, count=1, how="close")
    async with world(failures=FailuresConfig(refuse=refuse)) as w, w.feed() as feed:
        await feed.until_state(State.REST_FALLBACK, within_s=1)
        assert "closed by the peer" in feed.moves[0].reason
        await feed.until_state(State.CONNECTED)
        w.assert_contract(feed, settled=False)


async def test_retry_after_of_a_refused_handshake_is_a_floor(autojump_clock: MockClock) -> None:
    refuse = RefuseMode(enabled=True, count=1, how="http_503", retry_after_s=17)
    async with world(failures=FailuresConfig(refuse=refuse)) as w, w.feed() as feed:
        await feed.until_state(State.REST_FALLBACK)
        lost = feed.moves[0]
        assert lost.reason == "refused: HTTP 503"
        assert lost.retry_in_s is not None
        assert 17.0 <= lost.retry_in_s + 0.1 <= 1.5 * 17.0, "with half of it as jitter on top: others were asked alike"


async def test_retry_after_of_a_goodbye_is_a_floor(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(10)
        w.exchange.goodbye("maintenance", retry_after_s=8)
        await feed.until_state(State.REST_FALLBACK)
        retry_in_s = feed.moves[-1].retry_in_s
        assert retry_in_s is not None
        assert 8.0 <= retry_in_s + 0.2 <= 1.5 * 8.0, "with half of it as jitter on top: others were asked alike"
        await feed.until_state(State.CONNECTED)
        await trio.sleep(1)
        w.assert_contract(feed, settled=False)


async def test_rest_down_with_a_gap_open_stays_resyncing_which_is_true(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(FailuresConfig(server_error=ServerErrorMode(enabled=True), drop=SelectMode(enabled=True, ids=(60,))))
        await trio.sleep(120)
        assert feed.controller.state is State.RESYNCING
        assert feed.controller.open_gaps == {TICKER: [(60, 60)]}
        w.fail(FailuresConfig())
        await feed.until_state(State.CONNECTED)
        w.assert_contract(feed, settled=False)


async def test_evicted_history_is_reported_exactly(autojump_clock: MockClock) -> None:
    async with world(history_size=50, rate_per_s=0) as w, w.feed() as feed:
        await trio.sleep(1)
        w.publish(3)
        await feed.until_state(State.CONNECTED)
        w.network.refuse(w.rest_port)
        w.network.reset(w.rest_port)
        w.network.refuse(w.ws_port)
        w.exchange.disconnect()
        await trio.sleep(1)
        w.publish(200)
        w.network.accept()
        await trio.sleep(60)
        (lost,) = feed.lost
        assert (lost.start_seq, lost.end_seq, lost.reason) == (4, 153, "evicted")
        w.publish()
        await trio.sleep(1)
        w.assert_contract(feed)


async def test_a_rejected_stream_does_not_hold_the_others_back(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed(TICKER, Stream("ticker", "NO/SUCH")) as feed:
        await feed.until_state(State.CONNECTED)
        (rejected,) = feed.of(StreamRejected)
        assert isinstance(rejected, StreamRejected)
        assert (rejected.symbol, rejected.code) == ("NO/SUCH", "unknown_symbol")
        await trio.sleep(5)
        assert feed.controller.state is State.CONNECTED
        w.assert_contract(feed, settled=False)


async def test_account_streams_are_healed_by_snapshots(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed(TICKER, ORDERS, BALANCE) as feed:
        order = w.exchange.place_order("BTC/USD", "buy", 1.0, 50_000.0)
        await feed.until_state(State.CONNECTED)
        w.exchange.disconnect()
        w.exchange.fill_order(order.order_id)
        w.exchange.set_balance("USD", 123.0)
        await trio.sleep(0.5)
        await feed.until_state(State.CONNECTED)
        assert not feed.of(SnapshotMissed)
        fills = [event for event in feed.events if getattr(event, "order", None) and event.snapshot]  # type: ignore[union-attr]
        assert fills[-1].order.status == "filled"  # type: ignore[union-attr]


async def test_only_account_streams_need_no_market_data(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed(ORDERS) as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(600)
        assert feed.controller.state is State.CONNECTED
        assert feed.controller.generation == 1


async def test_an_account_snapshot_that_cannot_be_read_does_not_hold_connected_back(autojump_clock: MockClock) -> None:
    down = FailuresConfig(server_error=ServerErrorMode(enabled=True, paths=("/api/v1/orders",)))
    async with world(failures=down) as w, w.feed(TICKER, ORDERS) as feed:
        await feed.until_state(State.CONNECTED, within_s=120)
        (missed,) = feed.of(SnapshotMissed)
        assert isinstance(missed, SnapshotMissed)
        assert "HTTP 503" in missed.reason


async def test_one_way_black_hole_towards_the_server(autojump_clock: MockClock) -> None:
    """Data still comes, so nothing is wrong with the feed; only the PONGs stop."""
    async with world() as w, w.feed() as feed:
        await feed.until_state(State.CONNECTED)
        w.network.black_hole(Direction.TO_SERVER, w.ws_port)
        await trio.sleep(150)
        assert feed.controller.state is State.CONNECTED
        assert feed.controller.generation == 1


async def test_reconciliation_switched_off_reports_at_once(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed(reconciliation_enabled=False) as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(FailuresConfig(drop=SelectMode(enabled=True, ids=(50,))))
        await trio.sleep(10)
        assert [(lost.start_seq, lost.reason) for lost in feed.lost] == [(50, "reconciliation_disabled")]
        assert feed.controller.state is State.CONNECTED


async def test_silence_policy_immediate_is_the_seeds_plain_behaviour(autojump_clock: MockClock) -> None:
    async with world(rate_per_s=0) as w, w.feed(silence_policy="immediate") as feed:
        await trio.sleep(0.5)
        w.publish()
        await feed.until_state(State.REST_FALLBACK)
        assert feed.moves[-2].trigger is Trigger.IDLE
        assert feed.moves[-1].reason == "silence_policy is immediate"


async def test_a_silence_ended_by_data_keeps_the_socket(autojump_clock: MockClock) -> None:
    async with world(rate_per_s=0) as w, w.feed() as feed:
        await trio.sleep(0.5)
        w.publish()
        await feed.until_state(State.CONNECTED)
        w.network.black_hole(Direction.BOTH)
        await feed.until_state(State.SILENT)
        w.publish()
        w.network.heal()
        await feed.until_state(State.CONNECTED)
        assert [move.trigger for move in feed.moves if move.before is State.SILENT] == [Trigger.DATA_FLOWS]
        w.assert_contract(feed)


async def test_restart_in_every_state(autojump_clock: MockClock) -> None:
    ways: dict[State, FailuresConfig | None] = {
        State.CONNECTED: None,
        State.RESYNCING: FailuresConfig(
            server_error=ServerErrorMode(enabled=True), drop=SelectMode(enabled=True, every_nth=3)
        ),
        State.SILENT: FailuresConfig(silent_connection=FailureMode(enabled=True, after_messages=1, count=1)),
        State.RECONNECTING: FailuresConfig(stalled_handshake=Mode(enabled=True)),
        State.REST_FALLBACK: FailuresConfig(refuse=RefuseMode(enabled=True)),
    }
    for state, failures in ways.items():
        async with world() as w, w.feed(TICKER, ETHER) as feed:
            await feed.until_state(State.CONNECTED)
            if failures is not None:
                w.fail(failures)
                if state in {State.RECONNECTING, State.REST_FALLBACK}:
                    w.exchange.disconnect()
            await feed.until_state(state)
            w.exchange.restart()
            await trio.sleep(1)
            w.fail(FailuresConfig())
            await feed.until_state(State.CONNECTED)
            await trio.sleep(3)
            w.assert_contract(feed, TICKER, ETHER, settled=False)
            assert [lost.reason for lost in feed.lost if lost.end_seq is None] == ["epoch_ended"] * 2, state


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"streams": []}, "expected at least one stream"),
        ({"streams": [TICKER, TICKER]}, "all different"),
        ({"streams": [Stream("orders", "BTC/USD")]}, "channel orders has the symbol"),
        ({"ws_url": "http://h"}, "ws_url = 'http://h' is not allowed: expected ws://HOST:PORT"),
        ({"rest_url": "h:1"}, "rest_url = 'h:1' is not allowed"),
        ({"rest_url": None}, "expected ws_url and rest_url, or an exchange"),
    ],
)
async def test_wrong_arguments_are_refused_when_built(arguments: dict[str, object], message: str) -> None:
    good: dict[str, object] = {"ws_url": "ws://h:1", "rest_url": "http://h:2", "streams": [TICKER]}
    with pytest.raises(ConfigurationError, match=message):
        async with open_controller(**{**good, **arguments}):  # type: ignore[arg-type]
            pass
