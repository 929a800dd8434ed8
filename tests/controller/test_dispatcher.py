"""The dispatcher's four steps, with activities made for the purpose: leases, re-checked claims, orderly convergence."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gapless.controller.supervisor import Claim, Lease, Supervisor
from gapless.states import Activity, MalformedTableError, Row, State, Trigger


class Stage:
    """A supervisor whose activities do nothing but note when they start and end."""

    def __init__(self, *, cleanup_s: float = 0.0) -> None:
        self._cleanup_s = cleanup_s
        self.leases: dict[Activity, Lease] = {}
        self.diary: list[tuple[float, str]] = []
        self.taken: list[Trigger] = []
        self.supervisor = Supervisor(run=self._act, on_transition=self._note)

    async def _act(self, lease: Lease) -> None:
        self.leases[lease.activity] = lease
        self.diary.append((trio.current_time(), f"{lease.activity.name} starts"))
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(self._cleanup_s)
            self.diary.append((trio.current_time(), f"{lease.activity.name} ends"))

    def _note(self, row: Row, _claim: Claim) -> None:
        self.taken.append(row.trigger)


@asynccontextmanager
async def running(stage: Stage) -> AsyncIterator[Stage]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.supervisor.run, nursery)
        await wait_all_tasks_blocked()
        yield stage
        nursery.cancel_scope.cancel()


async def test_what_a_lease_sent_before_it_was_revoked_is_dropped(autojump_clock: MockClock) -> None:
    """Both claims lie in the mailbox; the first revokes the sender of the second, undeclared in REST_FALLBACK."""
    async with running(Stage()) as stage:
        stage.leases[Activity.LINK].emit(Trigger.LINK_LOST, "reset")
        stage.leases[Activity.HEARTBEAT].emit(Trigger.PONG_OVERDUE, "no PONG")
        await wait_all_tasks_blocked()
        assert stage.supervisor.state is State.REST_FALLBACK
        assert stage.taken == [Trigger.LINK_LOST]


async def test_what_a_lease_sends_after_it_was_revoked_is_dropped(autojump_clock: MockClock) -> None:
    async with running(Stage()) as stage:
        link = stage.leases[Activity.LINK]
        link.emit(Trigger.LINK_LOST, "reset")
        await wait_all_tasks_blocked()
        link.emit(Trigger.DATA_FLOWS, "a late frame")
        await wait_all_tasks_blocked()
        assert stage.taken == [Trigger.LINK_LOST]


async def test_a_claim_that_is_no_longer_true_is_dropped(autojump_clock: MockClock) -> None:
    async with running(Stage()) as stage:
        data_came = False
        watch = stage.leases[Activity.IDLE_WATCH]
        watch.emit(Trigger.IDLE, "no data", still_true=lambda: not data_came)
        data_came = True
        await wait_all_tasks_blocked()
        assert stage.taken == []
        watch.emit(Trigger.IDLE, "no data", still_true=lambda: True)
        await wait_all_tasks_blocked()
        assert stage.supervisor.state is State.SILENT


async def test_the_old_has_ended_before_the_new_begins(autojump_clock: MockClock) -> None:
    """A link that takes a second to end: the next generation waits for it."""
    async with running(Stage(cleanup_s=1.0)) as stage:
        stage.leases[Activity.LINK].emit(Trigger.DATA_FLOWS, "data")
        await trio.sleep(2)
        stage.supervisor.post(Claim(trigger=Trigger.RECONNECT_REQUESTED, reason="the app"))
        await trio.sleep(5)
        link = [(at, what) for at, what in stage.diary if what.startswith("LINK ")]
        assert [what for _at, what in link] == ["LINK starts", "LINK ends", "LINK starts"]
        assert link[2][0] >= link[1][0] == 3.0


async def test_the_same_claim_waits_in_the_mailbox_once(autojump_clock: MockClock) -> None:
    async with running(Stage()) as stage:
        for _ in range(1000):
            stage.supervisor.post(Claim(trigger=Trigger.GAP_FOUND, reason="again"))
            stage.leases[Activity.LINK].emit(Trigger.DATA_FLOWS, "again")
        await wait_all_tasks_blocked()
        assert stage.taken == [Trigger.DATA_FLOWS]


async def stray(stage: Stage) -> None:
    async with running(stage):
        stage.supervisor.post(Claim(trigger=Trigger.RETRY_DUE, reason="nobody's"))
        await trio.sleep(1)


async def test_a_trigger_that_the_table_gives_to_somebody_else_ends_the_run(autojump_clock: MockClock) -> None:
    with pytest.RaisesGroup(
        pytest.RaisesExc(MalformedTableError, match="RETRY_DUE was emitted"), flatten_subgroups=True
    ):
        await stray(Stage())
