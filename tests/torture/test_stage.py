"""Faults that overlap do not take each other back."""

from collections import Counter
from typing import cast

import trio
import trio.testing

from gapless.controller import ConnectionController
from gapless.simulator import ExchangeSimulator
from gapless.simulator.failure_modes import RefuseMode
from gapless.simulator.network import Direction, VirtualNetwork
from gapless.simulator.torture.observer import Watches
from gapless.simulator.torture.stage import SESSION, Manners, Market, Stage
from gapless.simulator.torture.wishes import Wishes
from gapless.simulator.virtual_clock import VirtualClock

WS, REST = 1_001, 1_002


class _Recorded(VirtualNetwork):
    """Says what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.healed: Counter[int | None] = Counter()
        self.accepted: Counter[int | None] = Counter()

    def heal(self, port: int | None = None) -> None:
        self.healed[port] += 1
        super().heal(port)

    def accept(self, port: int | None = None) -> None:
        self.accepted[port] += 1
        super().accept(port)


def a_stage(network: VirtualNetwork) -> Stage:
    exchange = ExchangeSimulator()
    return Stage(
        exchange=exchange,
        network=network,
        clock=VirtualClock(),
        market=cast("Market", None),
        manners=Manners(),
        controller=cast("ConnectionController", None),
        wishes=Wishes(exchange.issued),
        streams=(),
        idle_s=10.0,
        ws_port=WS,
        rest_port=REST,
        watches=Watches([]),
    )


async def test_the_first_of_two_failures_of_a_kind_holds_again_when_the_second_is_over() -> None:
    stage = a_stage(VirtualNetwork())
    first, second = RefuseMode(enabled=True), RefuseMode(enabled=True, how="http_503")

    def holds() -> object:
        return stage.exchange.failures.get(SESSION).refuse

    with stage.failing("refuse", first):
        with stage.failing("refuse", second):
            assert holds() == second
        assert holds() == first
    assert holds() is None


async def test_the_second_lives_on_when_the_first_is_over() -> None:
    stage = a_stage(VirtualNetwork())
    over = trio.Event()
    second = RefuseMode(enabled=True, how="http_503")

    async def first() -> None:
        with stage.failing("refuse", RefuseMode(enabled=True)):
            await over.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(first)
        await trio.testing.wait_all_tasks_blocked()
        with stage.failing("refuse", second):
            over.set()
            await trio.testing.wait_all_tasks_blocked()
            assert stage.exchange.failures.get(SESSION).refuse == second
    assert stage.exchange.failures.get(SESSION).refuse is None


def test_a_port_is_healed_when_the_last_hole_that_covers_it_is_over() -> None:
    network = _Recorded()
    stage = a_stage(network)
    with stage.black_hole(Direction.BOTH, WS):
        with stage.black_hole(Direction.TO_CLIENT, None):
            pass
        assert network.healed == {REST: 1}
    assert network.healed[WS] == 1


def test_a_port_is_opened_by_the_last_who_closed_it() -> None:
    network = _Recorded()
    stage = a_stage(network)
    with stage.refusing(WS):
        with stage.refusing(WS):
            pass
        assert not network.accepted[WS]
    assert network.accepted[WS] == 1
