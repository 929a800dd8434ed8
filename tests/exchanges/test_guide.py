"""docs/adapters.md: what it shows of the example venue stands there, its test runs, its links lead somewhere."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from examples.venue_linden import LindenExchange
from gapless.controller import Exchange, Trade
from gapless.controller.exchange import Exchange as Protocol
from gapless.simulator.network import VirtualNetwork
from gapless.simulator.testkit import ConformanceError
from tests.exchanges.defects import DEFECTS, broken
from tests.exchanges.linden_server import LindenServer

ROOT = Path(__file__).parent.parent.parent
GUIDE = (ROOT / "docs" / "adapters.md").read_text()
EXAMPLE = (ROOT / "examples" / "venue_linden.py").read_text()
APP, *PARTS, CONFORMANCE = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)


def defined(block: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {}
    exec(compile(block, "adapters.md", "exec"), namespace)  # noqa: S102  # our own guide
    return namespace


@pytest.mark.parametrize("part", PARTS)
def test_what_is_shown_of_the_example_stands_there(part: str) -> None:
    assert part in EXAMPLE


def test_the_conformance_test_of_the_guide_passes_and_can_fail() -> None:
    test: Callable[[Exchange], None] = defined(CONFORMANCE)["test_linden"]
    test(LindenExchange())
    for name in ("WrongId", "FloatMoney", "LosesTheRequestId", "NewestFirst", "MissesTheUnknown"):
        with pytest.raises(ConformanceError):
            test(broken(name))


async def test_the_app_of_the_guide_gets_the_trades(autojump_clock: MockClock) -> None:
    server, events = LindenServer(), list[object]()
    with VirtualNetwork(seed=1).installed():
        async with server.serve(), trio.open_nursery() as nursery:
            main = defined(APP)["main"]
            nursery.start_soon(main, LindenExchange(ws_url=server.ws_url, rest_url=server.rest_url), events.append)
            await trio.sleep(1)
            for number in range(5):
                await server.trade("OAK-EUR", f"20.{number}")
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
    assert [event.price_text for event in events if isinstance(event, Trade)] == [f"20.{each}" for each in range(5)]


def test_the_example_is_short_and_needs_nothing_of_the_controller_that_is_not_there_for_it() -> None:
    """About a hundred lines: without blank lines, docstrings and imports."""
    body = re.sub(r'""".*?"""', "", EXAMPLE, flags=re.DOTALL)
    code = [line for line in body.splitlines() if line.strip() and not line.startswith(("from ", "import "))]
    assert len(code) <= 110


def test_the_guide_names_every_message_and_every_question() -> None:
    for name in ("Welcome", "Subscribed", "Unsubscribed", "Rejected", "Pong", "Goodbye", "HighWater", "MustAnswer"):
        assert f"`{name}" in GUIDE
    for name in (each for each in vars(Protocol) if not each.startswith("_") and each != "websocket_url"):
        assert name in GUIDE, name


def test_the_number_of_planted_defects_is_as_told() -> None:
    assert f"broken in {len(DEFECTS)} ways" in GUIDE


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", GUIDE):
        assert (ROOT / "docs" / target).exists(), target
