"""The public test kit: driving, waiting, asserting. A check that cannot fail is a defect, so each is seen failing."""

import re
from collections.abc import Callable

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gapless.controller import (
    AnyEvent,
    ContinuityLost,
    GapFound,
    Source,
    State,
    Stream,
    open_controller,
)
from gapless.simulator import FailuresConfig, SelectMode, ServerErrorMode, SimulatorConfig
from gapless.simulator.testkit import (
    ETHER,
    SESSION,
    TICKER,
    Feed,
    Recording,
    WaitTimeoutError,
    World,
    mend,
    open_world,
    virtual_wall_clock,
)

# -- driving ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", State)
async def test_a_feed_is_driven_from_each_state_to_each_other(first: State, gapless_world: World) -> None:
    async with gapless_world.feed(reconnect_max_attempts=None) as feed:
        for then in State:
            await feed.drive_to(first)
            assert feed.controller.state is first
            await feed.drive_to(then)
            assert feed.controller.state is then
        await feed.drive_to(State.CONNECTED)
        await feed.until_whole()
        feed.assert_contract()


@pytest.mark.parametrize("state", State)
async def test_a_feed_is_driven_where_the_market_is_published_by_hand(state: State, gapless_clock: MockClock) -> None:
    async with open_world(rate_per_s=0.0) as world, world.feed() as feed:
        await world.pass_time(1.0)
        world.publish(5)
        await feed.drive_to(state)
        assert feed.controller.state is state


async def test_driving_leaves_the_failures_of_the_test_alone(gapless_world: World) -> None:
    async with gapless_world.feed() as feed:
        gapless_world.exchange.failures.switch("duplicate", SelectMode(enabled=True, every_nth=2), SESSION)
        await feed.drive_to(State.RESYNCING)
        await feed.drive_to(State.CONNECTED)
        duplicate = gapless_world.exchange.failures.get(SESSION).duplicate
        assert duplicate is not None
        assert duplicate.enabled


async def test_mending_takes_back_what_driving_did(gapless_world: World) -> None:
    async with gapless_world.feed() as feed:
        for state in State:
            await feed.drive_to(state)
            mend(gapless_world, feed)
            assert gapless_world.exchange.failures.get(SESSION) == FailuresConfig()
            feed.controller.reconnect()
            await feed.until_state(State.CONNECTED)


# -- waiting ----------------------------------------------------------------------------------------------------------


async def test_a_wait_that_is_over_says_what_where_and_how_it_came_there(gapless_world: World) -> None:
    async with gapless_world.feed() as feed:
        await feed.drive_to(State.SILENT)
        with pytest.raises(WaitTimeoutError) as caught:
            await feed.until_state(State.CONNECTED, within_s=3.0)
    text = str(caught.value)
    assert text.startswith("expected CONNECTED within 3 s, and it did not come.\nThe controller is in SILENT, ")
    assert "generation 1" in text
    assert re.search(r"\+\d+\.\d{3} s  CONNECTED -> SILENT by IDLE: no market data", text)


async def test_a_condition_is_named_by_its_line_or_by_the_test(gapless_world: World) -> None:
    async with gapless_world.feed() as feed:
        with pytest.raises(WaitTimeoutError, match=r"expected the condition at .*test_testkit\.py:\d+ within 2 s"):
            await feed.until(lambda: False, within_s=2.0)
        with pytest.raises(WaitTimeoutError, match="expected peace within 2 s"):
            await feed.until(lambda: False, within_s=2.0, what="peace")


async def test_only_the_end_of_a_long_walk_is_told(gapless_world: World) -> None:
    async with gapless_world.feed() as feed:
        for _ in range(5):
            await feed.drive_to(State.SILENT)
            await feed.drive_to(State.CONNECTED)
        with pytest.raises(WaitTimeoutError, match=r"\(\d+ earlier ones\)"):
            await feed.until_state(State.SILENT, within_s=1.0)


async def test_a_feed_is_whole_when_all_that_was_issued_until_then_is_known(gapless_world: World) -> None:
    async with gapless_world.feed(TICKER, ETHER) as feed:
        await feed.drive_to(State.REST_FALLBACK)
        await gapless_world.pass_time(30.0)
        mend(gapless_world, feed)
        issued = {stream: gapless_world.exchange.last_id(stream.channel, stream.symbol) for stream in (TICKER, ETHER)}
        await feed.until_whole(within_s=120.0)
        assert feed.state is State.CONNECTED
        assert all(last in feed.ids(stream=stream) for stream, last in issued.items())


async def test_a_feed_that_cannot_become_whole_says_so(gapless_world: World) -> None:
    async with gapless_world.feed() as feed:
        await feed.drive_to(State.RESYNCING)
        with pytest.raises(WaitTimeoutError, match=r"a whole feed \(ticker:BTC/USD up to \d+\)(.|\n)*open gaps: {"):
            await feed.until_whole(within_s=5.0)


async def test_a_feed_that_is_owed_nothing_is_whole(gapless_clock: MockClock) -> None:
    """What was issued before the subscription is nobody's."""
    async with open_world(rate_per_s=0.0) as world:
        world.publish(10)
        async with world.feed() as feed:
            await feed.until_whole()
            assert not feed.ids()


async def test_a_restart_meanwhile_does_not_keep_a_feed_from_being_whole(gapless_world: World) -> None:
    async with gapless_world.feed() as feed:
        await feed.drive_to(State.REST_FALLBACK)
        await gapless_world.pass_time(5.0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(feed.until_whole, 200.0)
            await gapless_world.pass_time(1.0)
            gapless_world.exchange.restart()
            mend(gapless_world, feed)
        await feed.until_whole()
        feed.assert_contract()


# -- the walk ---------------------------------------------------------------------------------------------------------


async def test_a_path_is_compared_step_by_step(gapless_world: World) -> None:
    async with gapless_world.feed() as feed:
        await feed.drive_to(State.SILENT)
    feed.assert_path(State.RECONNECTING, State.RESYNCING, State.CONNECTED, State.SILENT)
    with pytest.raises(AssertionError) as caught:
        feed.assert_path(State.RECONNECTING, State.CONNECTED, State.REST_FALLBACK)
    lines = [line.strip() for line in str(caught.value).splitlines()]
    assert lines[1:6] == ["RECONNECTING", "+ RESYNCING", "CONNECTED", "- REST_FALLBACK", "+ SILENT"]


async def test_states_are_passed_in_order_and_others_may_lie_between(gapless_world: World) -> None:
    async with gapless_world.feed() as feed:
        await feed.drive_to(State.SILENT)
    feed.assert_passed(State.RECONNECTING, State.CONNECTED, State.SILENT)
    feed.assert_passed()
    with pytest.raises(AssertionError, match="CONNECTED did not come after SILENT"):
        feed.assert_passed(State.SILENT, State.CONNECTED)
    with pytest.raises(AssertionError, match="REST_FALLBACK did not come "):
        feed.assert_passed(State.REST_FALLBACK)


# -- the contract -----------------------------------------------------------------------------------------------------


def without_one(feed: Feed) -> None:
    del feed.events[feed.events.index(feed.data[3])]


def with_one_twice(feed: Feed) -> None:
    feed.events.append(feed.data[3])


def with_another_price(feed: Feed) -> None:
    datum = feed.data[3]
    feed.events[feed.events.index(datum)] = msgspec.structs.replace(datum, price=datum.price + 1.0)


def with_one_never_issued(feed: Feed) -> None:
    feed.events.append(msgspec.structs.replace(feed.data[-1], sequence_id=10_000))


def without_a_transition(feed: Feed) -> None:
    del feed.events[feed.events.index(feed.moves[0])]


def with_an_open_gap(feed: Feed) -> None:
    """CONNECTED is claimed although a gap was found before."""
    gap = GapFound(
        channel="ticker",
        symbol="BTC/USD",
        epoch=feed.data[0].epoch,
        start_seq=1,
        end_seq=1,
        reason="a test",
        at=feed.data[0].received_at,
    )
    feed.events.insert(0, gap)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (without_one, "ids 4 are owed and were neither delivered nor reported lost"),
        (with_one_twice, "ids 4 were delivered more than once"),
        (with_another_price, "4 was delivered as"),
        (with_one_never_issued, "ids 10000 were delivered and never issued"),
        (without_a_transition, "came while the state was RECONNECTING"),
        (with_an_open_gap, "CONNECTED was claimed while ids 1 were known to be missing"),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
async def test_a_broken_promise_is_found(harm: Callable[[Feed], None], said: str, gapless_world: World) -> None:
    async with gapless_world.feed() as feed:
        await gapless_world.pass_time(10.0)
        feed.assert_contract()
        harm(feed)
        with pytest.raises(AssertionError, match="the contract was broken") as caught:
            feed.assert_contract()
        assert said in str(caught.value)


async def test_what_is_under_way_is_missing_only_where_all_must_have_come(gapless_clock: MockClock) -> None:
    async with open_world(rate_per_s=0.0) as world, world.feed() as feed:
        await world.pass_time(1.0)
        world.publish(5)
        await world.pass_time(1.0)
        feed.assert_contract(settled=True)
        world.publish(1)
        feed.assert_contract()
        with pytest.raises(AssertionError, match="ids 6 are owed"):
            feed.assert_contract(settled=True)


async def test_an_announced_gap_may_be_open_until_all_must_have_come(gapless_world: World) -> None:
    async with gapless_world.feed() as feed:
        await feed.drive_to(State.RESYNCING)
        await gapless_world.pass_time(10.0)
        assert feed.of(GapFound)
        feed.assert_contract()
        with pytest.raises(AssertionError, match="were GapFound and neither GapFilled nor ContinuityLost"):
            feed.assert_contract(settled=True)


async def test_a_loss_that_was_reported_keeps_the_contract(gapless_clock: MockClock) -> None:
    async with open_world(history_size=5) as world, world.feed() as feed:
        await feed.until_state(State.CONNECTED)
        world.network.black_hole()
        await world.pass_time(25.0)
        world.network.heal()
        await feed.until_whole(within_s=120.0)
        assert feed.lost
        feed.assert_contract()
        feed.events[:] = [event for event in feed.events if not isinstance(event, ContinuityLost)]
        with pytest.raises(AssertionError, match=r"CONNECTED was claimed while ids \d+\.\.\d+ were known"):
            feed.assert_contract()


async def test_nobody_is_judged_who_never_subscribed(gapless_world: World) -> None:
    async with gapless_world.feed() as feed:
        await feed.until_state(State.CONNECTED)
        with pytest.raises(AssertionError, match="the exchange never saw 'test-session' subscribe ticker:ETH/USD"):
            feed.assert_contract(ETHER)


async def test_ids_are_judged_where_the_exchange_did_not_record_what_they_said(gapless_clock: MockClock) -> None:
    async with open_world(config=SimulatorConfig(channels=("ticker",), record=False)) as world, world.feed() as feed:
        await world.pass_time(5.0)
        feed.assert_contract()
        without_one(feed)
        with pytest.raises(AssertionError, match="ids 4 are owed"):
            feed.assert_contract()


async def test_a_gap_of_an_account_is_healed_by_its_snapshot(gapless_world: World) -> None:
    orders = Stream("orders", "*")
    async with gapless_world.feed(TICKER, orders) as feed:
        await feed.until_state(State.CONNECTED)
        gapless_world.exchange.failures.switch(
            "drop", SelectMode(enabled=True, probability=1.0, symbols=("*",), count=1), SESSION
        )
        for _ in range(2):
            gapless_world.exchange.place_order("BTC/USD", "buy", 1.0, 100.0)
            await gapless_world.pass_time(1.0)
        await feed.until_whole()
        assert [gap.channel for gap in feed.of(GapFound)] == ["orders"]
        feed.assert_contract()


# -- an app's own controller ------------------------------------------------------------------------------------------


async def test_an_app_loops_over_a_feed_that_records_what_it_hands_on(gapless_world: World) -> None:
    got: list[AnyEvent] = []

    async with (
        open_controller(
            ws_url=gapless_world.ws_url,
            rest_url=gapless_world.rest_url,
            streams=[TICKER],
            session_id="app",
            wall_clock=gapless_world.wall_clock,
        ) as controller,
        trio.open_nursery() as nursery,
    ):
        feed = gapless_world.watch(controller, session_id="app")

        async def app() -> None:
            async for event in feed:
                got.append(event)  # noqa: PERF401 (an app does more)

        nursery.start_soon(app)
        await feed.drive_to(State.SILENT)
        await feed.drive_to(State.CONNECTED)
        await feed.until_whole()
        feed.assert_contract()
        nursery.cancel_scope.cancel()
    assert got == feed.events


async def test_an_app_with_callbacks_is_judged_by_a_recording(gapless_world: World) -> None:
    recording = Recording()
    gapless_world.fail(
        FailuresConfig(
            drop=SelectMode(enabled=True, ids=(3, 4)), server_error=ServerErrorMode(enabled=True, duration_s=8.0)
        ),
        "app",
    )
    async with open_controller(
        ws_url=gapless_world.ws_url,
        rest_url=gapless_world.rest_url,
        streams=[TICKER],
        session_id="app",
        on_message=recording.record,
        wall_clock=virtual_wall_clock,
    ):
        await recording.until_state(State.CONNECTED)
        await recording.until(lambda: {3, 4} <= set(recording.ids(Source.BACKFILL)))
        await recording.until_state(State.CONNECTED)
        recording.assert_passed(State.RESYNCING, State.CONNECTED)
        gapless_world.assert_contract(recording, TICKER, session_id="app")
        with pytest.raises(WaitTimeoutError, match=r"expected SILENT within 1 s(.|\n)*The controller is in CONNECTED"):
            await recording.until_state(State.SILENT, within_s=1.0)


async def test_without_any_transition_the_error_says_so() -> None:
    recording = Recording()
    with pytest.raises(WaitTimeoutError, match="no transition was seen"):
        await recording.until(lambda: False, within_s=0.001)


# -- the world --------------------------------------------------------------------------------------------------------


async def test_a_world_on_real_time_is_refused() -> None:
    with pytest.raises(RuntimeError, match="a world needs virtual time: let the test take the fixture gapless_clock"):
        async with open_world():
            pass


async def test_a_failed_assert_leaves_the_world_as_itself(gapless_world: World) -> None:
    """Not as a group within a group: the message is what a test is read for."""
    with pytest.raises(AssertionError, match="another path was expected"):
        async with gapless_world.feed() as feed:
            feed.assert_path(State.SILENT)


async def test_a_failed_assert_leaves_a_world_opened_by_hand_as_itself(gapless_clock: MockClock) -> None:
    with pytest.raises(AssertionError, match="another path was expected"):
        async with open_world() as world, world.feed() as feed:
            feed.assert_path(State.SILENT)


async def test_a_socket_left_open_is_told(gapless_clock: MockClock) -> None:
    left: list[trio.SocketStream] = []
    with pytest.raises(AssertionError, match="sockets were left open"):
        async with open_world() as world:
            left.append(await trio.open_tcp_stream("127.0.0.1", world.rest_port))


async def test_a_black_hole_swallows_both_ways(gapless_world: World) -> None:
    async with gapless_world.feed() as feed:
        await feed.until_state(State.CONNECTED)
        gapless_world.network.black_hole()
        seen = len(feed.data)
        requests = len(gapless_world.exchange.requests)
        await gapless_world.pass_time(30.0)
        assert len(feed.data) == seen
        assert len(gapless_world.exchange.requests) == requests


async def test_texts_are_no_names(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.feed() as feed:
        with pytest.raises(TypeError, match=r"expected a state \(.*State.CONNECTED.*\), got 'CONNECTED'"):
            await feed.drive_to("CONNECTED")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="expected a state"):
            await feed.until_state("CONNECTED")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"expected a stream \(Stream\), got 'ticker:BTC/USD'"):
            async with world.feed("ticker:BTC/USD"):  # type: ignore[arg-type]
                pass
        with pytest.raises(TypeError, match=r"expected a direction \(Direction"):
            world.network.black_hole("both")  # type: ignore[arg-type]


async def test_a_feed_without_market_streams_has_nothing_to_judge(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.feed(Stream("orders", "*")) as feed:
        await feed.until_state(State.CONNECTED)
        with pytest.raises(AssertionError, match="nothing to judge: no market stream"):
            feed.assert_contract(settled=True)
