"""Every cell of the activity table, judged by the tasks that really run: the table itself is not asked."""

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gapless.controller import State, Trigger
from gapless.controller.supervisor import Claim, Lease, Supervisor
from gapless.simulator import FailureMode, FailuresConfig
from gapless.simulator.failure_modes import SelectMode, ServerErrorMode
from gapless.states import EMITS, LEASELESS, Activity, MalformedTableError
from tests.kit import Feed, World, world
from tests.ways import WAY_TO, to_reconnecting, to_resyncing, to_silent

# Written out by hand from the design.
RUNS_IN = {
    State.RECONNECTING: {"LINK", "HEARTBEAT", "IDLE_WATCH", "FETCH_LOOP"},
    State.RESYNCING: {"LINK", "HEARTBEAT", "IDLE_WATCH", "RECONCILER"},
    State.CONNECTED: {"LINK", "HEARTBEAT", "IDLE_WATCH"},
    State.SILENT: {"LINK", "HEARTBEAT", "SILENCE_VERIFIER", "FETCH_LOOP"},
    State.REST_FALLBACK: {"FETCH_LOOP", "BACKOFF"},
}


def running_tasks() -> dict[str, trio.lowlevel.Task]:
    """The activities' tasks in this trio run, found by walking all of it."""
    found: dict[str, trio.lowlevel.Task] = {}
    root = trio.lowlevel.current_root_task()
    frontier = [root] if root is not None else []
    while frontier:
        task = frontier.pop()
        prefix, _, name = task.name.partition(".")
        if prefix == "gapless" and name.isupper():
            assert name not in found, f"{name} runs twice"
            found[name] = task
        frontier += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return found


@pytest.mark.parametrize("state", State)
async def test_exactly_the_activities_of_a_state_run_in_it(state: State, autojump_clock: MockClock) -> None:
    async with world() as w, w.feed() as feed:
        await WAY_TO[state](w, feed)
        await feed.until_state(state)
        assert feed.controller.state is state
        assert set(running_tasks()) == RUNS_IN[state]
        assert {activity.name for activity in feed.controller.running} == RUNS_IN[state]
    assert not running_tasks(), "nothing outlives the controller"


async def transition(feed: Feed, trigger: Trigger, after: State) -> tuple[set[str], set[str]]:
    """Wait for one transition; which activities are the same task as before, and which are new."""
    before = running_tasks()
    seen = len(feed.moves)
    await feed.until(lambda: any((m.trigger, m.after) == (trigger, after) for m in feed.moves[seen:]))
    await wait_all_tasks_blocked()
    now = running_tasks()
    kept = {name for name, task in now.items() if before.get(name) is task}
    return kept, set(now) - kept


async def test_a_gap_leaves_the_link_untouched(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed() as feed:
        await to_resyncing(w, feed)
        kept, new = await transition(feed, Trigger.GAP_FOUND, State.RESYNCING)
        assert (kept, new) == ({"LINK", "HEARTBEAT", "IDLE_WATCH"}, {"RECONCILER"})
        w.fail(FailuresConfig())
        kept, new = await transition(feed, Trigger.RESYNCED, State.CONNECTED)
        assert (kept, new) == ({"LINK", "HEARTBEAT", "IDLE_WATCH"}, set())


async def test_a_silence_keeps_the_socket_and_its_heartbeat(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed() as feed:
        await to_silent(w, feed)
        kept, new = await transition(feed, Trigger.IDLE, State.SILENT)
        assert (kept, new) == ({"LINK", "HEARTBEAT"}, {"SILENCE_VERIFIER", "FETCH_LOOP"})
        kept, new = await transition(feed, Trigger.SILENCE_CONFIRMED, State.REST_FALLBACK)
        assert (kept, new) == ({"FETCH_LOOP"}, {"BACKOFF"})
        kept, new = await transition(feed, Trigger.RETRY_DUE, State.RECONNECTING)
        assert (kept, new) == ({"FETCH_LOOP"}, {"LINK", "HEARTBEAT", "IDLE_WATCH"})


async def test_data_in_a_silence_keeps_the_socket(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed() as feed:
        await to_silent(w, feed)
        # A gap that REST cannot fill yet, so that RESYNCING lasts long enough to look at it.
        w.fail(FailuresConfig(server_error=ServerErrorMode(enabled=True), drop=SelectMode(enabled=True, ids=(40,))))
        await feed.until_state(State.SILENT)
        w.network.heal()
        kept, new = await transition(feed, Trigger.DATA_FLOWS, State.RESYNCING)
        assert (kept, new) == ({"LINK", "HEARTBEAT"}, {"IDLE_WATCH", "RECONCILER"})
        w.fail(FailuresConfig())
        await feed.until_state(State.CONNECTED)
        assert feed.controller.generation == 1


@pytest.mark.parametrize("state", [State.RESYNCING, State.CONNECTED, State.SILENT, State.REST_FALLBACK])
async def test_a_new_attempt_inherits_nothing(state: State, autojump_clock: MockClock) -> None:
    async with world() as w, w.feed() as feed:
        await WAY_TO[state](w, feed)
        await feed.until_state(state)
        generation = feed.controller.generation
        feed.controller.reconnect()
        kept, new = await transition(feed, Trigger.RECONNECT_REQUESTED, State.RECONNECTING)
        fetching = {"FETCH_LOOP"} if "FETCH_LOOP" in RUNS_IN[state] else set()
        assert kept == fetching
        assert new == RUNS_IN[State.RECONNECTING] - fetching
        assert feed.controller.generation == generation + 1


async def test_reconnect_during_an_attempt_changes_nothing(autojump_clock: MockClock) -> None:
    async with world() as w, w.feed() as feed:
        await to_reconnecting(w, feed)
        await feed.until_state(State.RECONNECTING)
        before = running_tasks()
        feed.controller.reconnect()
        await trio.sleep(1)
        assert running_tasks() == before
        assert feed.moves[-1].after is State.RECONNECTING


async def lose_the_heartbeat(w: World, on_health_change: Callable[[bool], None]) -> None:
    async with w.feed(on_health_change=on_health_change, heartbeat_interval=20.0, ws_idle_timeout=300.0) as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(FailuresConfig(silent_connection=FailureMode(enabled=True, after_messages=1)))
        await trio.sleep(100)


async def test_a_defect_in_an_activity_ends_the_run_as_the_original_exception(autojump_clock: MockClock) -> None:
    """An app callback that raises runs inside an activity: it must come out as itself, not as a group."""

    def explode(healthy: bool) -> None:
        raise ZeroDivisionError(f"healthy={healthy}")

    async with world() as w:
        with pytest.raises(ZeroDivisionError, match="healthy=False"):
            await lose_the_heartbeat(w, explode)


# -- claims -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activity", [Activity.LINK, Activity.HEARTBEAT, Activity.IDLE_WATCH, Activity.FETCH_LOOP])
async def test_an_activity_emits_only_what_the_table_says(activity: Activity, autojump_clock: MockClock) -> None:
    """What the exhaustive search has not seen must not happen: not even where a row would tolerate it."""
    refused: list[Trigger] = []

    async def emit_everything(lease: Lease) -> None:
        for trigger in Trigger:
            try:
                lease.emit(trigger, "a test", still_true=lambda: False)
            except MalformedTableError:
                refused.append(trigger)
        nursery.cancel_scope.cancel()

    async def run(lease: Lease) -> None:
        if lease.activity is activity:
            await emit_everything(lease)
        else:
            await trio.sleep_forever()

    supervisor = Supervisor(run=run, on_transition=lambda _row, _claim: None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.run, nursery)
    assert set(refused) == set(Trigger) - EMITS[activity]


async def _rest(_: Lease) -> None:
    await trio.sleep_forever()


async def test_without_a_lease_come_gaps_and_requests_to_reconnect_alone() -> None:
    supervisor = Supervisor(run=_rest, on_transition=lambda _row, _claim: None)
    for trigger in Trigger:
        claim = Claim(trigger=trigger, reason="a test")
        if trigger in LEASELESS:
            supervisor.post(claim)
        else:
            with pytest.raises(MalformedTableError, match=f"{trigger} was emitted without a lease"):
                supervisor.post(claim)
