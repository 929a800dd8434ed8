"""The buttons: each does to a simulated feed what it says, and ends by itself. On virtual time."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import httpx
import msgspec
import pytest
import trio
from trio.testing import MockClock

from gapless.cli.dashboard import DEMO_EXCHANGE, DEMO_STREAMS
from gapless.cli.scene import CONFIG, GENERATED
from gapless.controller import (
    AnyEvent,
    ConnectionController,
    GapFound,
    MarketData,
    Source,
    State,
    Stream,
    open_controller,
)
from gapless.dashboard import FaultError, Faults, UnknownFaultError, open_faults
from gapless.dashboard.breakages import breakages
from gapless.simulator import FailuresConfig, Mode, SimulatorConfig
from gapless.simulator.testkit import World, open_world

SESSION = "the demo"
EXCHANGE = msgspec.structs.replace(DEMO_EXCHANGE, rate_per_s=4.0)
"""The demo's, with fewer data: they are what a test costs."""
BREAKAGES = breakages("ETH/USD")
NAMES = [each.button.name for each in BREAKAGES]


class Demo:
    def __init__(
        self,
        world: World,
        controller: ConnectionController,
        faults: Faults,
        notes: list[str],
        events: Sequence[AnyEvent],
    ) -> None:
        self.world = world
        self.controller = controller
        self.faults = faults
        self.notes = notes
        self.events = events

    @property
    def path(self) -> list[str]:
        return [each.after.name for each in self.controller.history]


@asynccontextmanager
async def demo(exchange: SimulatorConfig = EXCHANGE) -> AsyncIterator[Demo]:
    notes, events = list[str](), list[AnyEvent]()
    async with (
        open_world(config=exchange) as world,
        open_controller(
            ws_url=world.ws_url, rest_url=world.rest_url, streams=DEMO_STREAMS, config=CONFIG, session_id=SESSION
        ) as controller,
        open_faults(rest_url=world.rest_url, session_id=SESSION, note=notes.append, quiet_symbol="ETH/USD") as faults,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(_read, controller, events)
        await controller.wait_for(State.CONNECTED)
        await trio.sleep(5)  # a link that has earned it retries at once
        yield Demo(world, controller, faults, notes, events)
        nursery.cancel_scope.cancel()


async def _read(controller: ConnectionController, events: list[AnyEvent]) -> None:
    async for batch in controller.batches():
        events += batch


def is_passed(expected: Sequence[str], path: Sequence[str]) -> bool:
    rest = iter(path)
    return all(state in rest for state in expected)


@pytest.mark.parametrize("breakage", BREAKAGES, ids=NAMES)
def test_each_is_a_failure_the_simulator_takes_and_ends_by_itself(breakage: object) -> None:
    failures = msgspec.convert(getattr(breakage, "failures"), FailuresConfig)  # noqa: B009
    for field in msgspec.structs.fields(FailuresConfig):
        mode: Mode | None = getattr(failures, field.name)
        assert mode is None or mode.count is not None or mode.duration_s is not None, field.name


@pytest.mark.parametrize("name", NAMES)
async def test_each_leads_where_it_says_and_back_to_connected(name: str, autojump_clock: MockClock) -> None:
    async with demo() as d:
        (button,) = [each for each in d.faults.buttons if each.name == name]
        before = len(d.path)
        await d.faults.press(name)
        await trio.sleep(12)
        path = d.path[before:]
        # A feed that only stays CONNECTED has no transition to show.
        assert is_passed(button.expect, path) or (button.expect == ["CONNECTED"] and not path), path
        assert d.controller.state is State.CONNECTED
        assert not d.controller.open_gaps
        moves = len(d.path)
        await trio.sleep(5)
        assert len(d.path) == moves, "it went on by itself"
        assert d.notes == [button.label]


@pytest.mark.parametrize("name", ["drop", "garbage"])
async def test_holes_come_in_every_market_stream_and_none_is_silenced(name: str, autojump_clock: MockClock) -> None:
    """As the demo has it, with three streams that come by turn."""
    async with demo(DEMO_EXCHANGE) as d:
        before = len(d.events)
        await d.faults.press(name)
        await trio.sleep(4)
        now = d.events[before:]
        await trio.sleep(4)
        for stream in GENERATED:
            holes = [each for each in now if isinstance(each, GapFound) and Stream(each.channel, each.symbol) == stream]
            live = [
                each
                for each in now
                if isinstance(each, MarketData)
                and each.source is Source.LIVE
                and Stream(each.channel, each.symbol) == stream
            ]
            assert holes, stream
            assert len(live) > 10, stream


async def test_one_button_after_the_other_still_ends_well(autojump_clock: MockClock) -> None:
    async with demo() as d:
        for name in NAMES:
            with trio.fail_after(5):
                while len(d.notes) <= NAMES.index(name):
                    with suppress(FaultError):  # the exchange is down: that is the restart
                        await d.faults.press(name)
                    await trio.sleep(0.5)
        await trio.sleep(10)
        assert d.controller.state is State.CONNECTED
        assert not d.controller.open_gaps


async def test_behave_takes_everything_back(autojump_clock: MockClock) -> None:
    async with demo() as d:
        await d.faults.press("refuse")
        await trio.sleep(2)
        assert d.path[-1] in {"REST_FALLBACK", "RECONNECTING"}
        await d.faults.press("behave")
        await trio.sleep(3)
        assert d.path[-1] == "CONNECTED"


async def test_other_sessions_are_left_alone(autojump_clock: MockClock) -> None:
    async with (
        demo() as d,
        open_controller(
            ws_url=d.world.ws_url, rest_url=d.world.rest_url, streams=DEMO_STREAMS, config=CONFIG, session_id="other"
        ) as other,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(_read, other, [])
        await trio.sleep(3)
        moves = len(other.history)
        for name in ("silent", "refuse"):
            await d.faults.press(name)
            await trio.sleep(10)
        assert len(other.history) == moves
        nursery.cancel_scope.cancel()


async def test_a_button_that_does_not_exist_names_those_that_do(autojump_clock: MockClock) -> None:
    async with demo() as d:
        with pytest.raises(UnknownFaultError, match="there is no fault 'explode'; there are silent, drop, "):
            await d.faults.press("explode")
        assert d.notes == []


async def test_held_buttons_say_why(autojump_clock: MockClock) -> None:
    async with demo() as d:
        d.faults.held = "not now"
        with pytest.raises(FaultError, match="not now"):
            await d.faults.press("silent")
        d.faults.held = ""
        await d.faults.press("silent")
        assert d.notes == ["Go silent"]


async def test_an_exchange_that_is_down_cannot_be_broken_further(autojump_clock: MockClock) -> None:
    async with demo() as d:
        await d.faults.press("restart")
        with pytest.raises(FaultError, match="the exchange cannot be reached now"):
            await d.faults.press("silent")
        assert d.notes == ["Restart"]


async def test_what_the_exchange_refuses_is_passed_on() -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        return httpx.Response(400, text="bad failures")

    notes: list[str] = []
    async with httpx.AsyncClient(transport=httpx.MockTransport(refuse)) as http:
        faults = Faults(http, rest_url="http://x/", session_id="a/b", note=notes.append, quiet_symbol="X")
        with pytest.raises(FaultError, match="the exchange refused: HTTP 400 bad failures"):
            await faults.press("restart")
    assert notes == []
