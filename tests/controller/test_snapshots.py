"""Snapshots of orders and balances: how often they are read, and what happens where they cannot be."""

import msgspec
import pytest
import trio
from starlette.requests import Request
from starlette.responses import Response
from trio.testing import MockClock

from gapless.controller import (
    ConnectionController,
    GapFilled,
    NetworkConfig,
    OrderUpdate,
    SnapshotMissed,
    State,
    Stream,
    open_controller,
)
from gapless.simulator import FailuresConfig, ServerErrorMode
from gapless.simulator.failure_modes import SelectMode, SlowReplyMode
from tests.kit import TICKER, World, world
from tests.scripted import Query, Socket, Venue

ORDERS = Stream("orders", "*")


def order(venue: World) -> None:
    venue.exchange.place_order("BTC/USD", "buy", 1.0, 50_000.0)


def down(*, times: int | None = None) -> ServerErrorMode:
    """The snapshot of orders cannot be read."""
    return ServerErrorMode(enabled=True, count=times, paths=("/api/v1/orders",))


async def test_a_gap_after_a_missed_snapshot_has_three_tries_of_its_own(autojump_clock: MockClock) -> None:
    async with (
        world(failures=FailuresConfig(server_error=down())) as w,
        w.feed(TICKER, ORDERS, max_retries=0, circuit_breaker_failures=0) as feed,
    ):
        await feed.until_state(State.CONNECTED)
        assert len(feed.of(SnapshotMissed)) == 1
        order(w)
        await trio.sleep(1.0)
        w.fail(FailuresConfig(drop=SelectMode(enabled=True, probability=1.0), server_error=down()))
        order(w)
        await trio.sleep(0.5)
        w.fail(FailuresConfig(server_error=down(times=2)))
        order(w)
        await feed.until(lambda: any(isinstance(e, GapFilled) and e.reason == "snapshot" for e in feed.events))
        assert feed.lost == []
        assert len(feed.of(SnapshotMissed)) == 1


class Broker(Venue):
    """Its order updates have no ids; a snapshot knows the order as it was when it was asked for."""

    def __init__(self, *, reply_takes_s: float = 0.0) -> None:
        super().__init__(self.serve, self.answer)
        self.reply_takes_s = reply_takes_s
        self.filled = 0.0
        self.burst = trio.Event()

    @property
    def order(self) -> dict[str, object]:
        return {
            "order_id": "o-1",
            "symbol": "BTC/USD",
            "side": "buy",
            "type": "limit",
            "quantity": 100.0,
            "filled": self.filled,
        }

    async def serve(self, socket: Socket, _number: int) -> None:
        await socket.welcome()
        await socket.subscribed(None, ORDERS)
        await self.burst.wait()
        for _ in range(10):
            self.filled += 1.0
            await socket.send(type="ORDER_UPDATE", order=self.order)
        await trio.sleep_forever()

    def answer(self, _path: str, _query: Query) -> Response:
        return Response(msgspec.json.encode({"orders": [self.order]}))

    async def handle_request(self, request: Request) -> Response:
        reply = await super().handle_request(request)
        await trio.sleep(self.reply_takes_s)
        return reply


async def filled_as_the_app_knows(controller: ConnectionController) -> float | None:
    """What it hears within a while; the last word counts."""
    filled = None
    with trio.move_on_after(5.0):
        async for event in controller:
            if isinstance(event, OrderUpdate):
                filled = event.order.filled
    return filled


@pytest.mark.parametrize("reply_takes_s", [0.0, 1.5])
async def test_an_update_without_an_id_that_did_not_fit_makes_the_snapshot_be_read_again(
    reply_takes_s: float, autojump_clock: MockClock
) -> None:
    """Also where the burst comes while the snapshot is on its way: that one does not know it."""
    broker = Broker(reply_takes_s=reply_takes_s)
    async with (
        broker.feed(ORDERS),
        open_controller(
            ws_url=broker.ws_url, rest_url=broker.rest_url, streams=[ORDERS], config=NetworkConfig(buffer_size=4)
        ) as controller,
    ):
        if not reply_takes_s:
            await controller.wait_for(State.CONNECTED)
        await trio.sleep(1.0)
        broker.burst.set()
        await trio.sleep(1.0)
        assert controller.stats.skipped > 0
        assert controller.history[-1].after.name == "RESYNCING"
        assert await filled_as_the_app_knows(controller) == broker.filled
        assert controller.history[-1].after.name == "CONNECTED"


@pytest.mark.parametrize("ordering", ["arrival", "sequence"])
async def test_a_snapshot_never_comes_behind_an_update_that_is_newer(ordering: str, autojump_clock: MockClock) -> None:
    async with world() as w:
        order_id = w.exchange.place_order("BTC/USD", "buy", 1.0, 50_000.0).order_id
        slow = SlowReplyMode(enabled=True, delay_s=0.0, trickle_s=2.0, paths=("/api/v1/orders",))
        w.fail(FailuresConfig(slow_reply=slow))
        async with w.feed(TICKER, ORDERS, ordering=ordering) as feed:
            await trio.sleep(1.0)
            w.exchange.fill_order(order_id)
            await trio.sleep(8.0)
            told = [
                (event.sequence_id, event.order.status, event.snapshot)
                for event in feed.events
                if isinstance(event, OrderUpdate)
            ]
            assert told == [(2, "filled", False), (2, "filled", True)]
            assert feed.controller.state is State.CONNECTED


async def test_updates_faster_than_snapshots_do_not_hold_the_promise_back(autojump_clock: MockClock) -> None:
    slow = SlowReplyMode(enabled=True, delay_s=0.0, trickle_s=2.0, paths=("/api/v1/orders",))
    async with world(failures=FailuresConfig(slow_reply=slow)) as w:
        first = w.exchange.place_order("BTC/USD", "buy", 1.0, 50_000.0).order_id
        async with w.feed(TICKER, ORDERS) as feed:
            for _ in range(24):
                await trio.sleep(0.5)
                order(w)
            assert feed.controller.state is State.CONNECTED
            updates = [event for event in feed.events if isinstance(event, OrderUpdate)]
            (covers,) = {each.sequence_id or 0 for each in updates if each.snapshot}
            rows = {each.order.order_id for each in updates if each.snapshot}
            newer = {each.order.order_id for each in updates if not each.snapshot and (each.sequence_id or 0) > covers}
            assert first in rows
            assert newer
            assert not rows & newer
