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
from gapless.simulator.failure_modes import SelectMode
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
