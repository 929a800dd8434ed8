"""Fixtures for the tests of an app: a world on virtual time. pytest finds them wherever gapless is installed.

They are for pytest-trio. Nothing of trio, httpx or the simulator is imported before a test asks for one of them; that
is why this stands here and not in :mod:`gapless.simulator`, which imports them all.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from trio.testing import MockClock

    from gapless.simulator import ExchangeSimulator
    from gapless.simulator.network import VirtualNetwork
    from gapless.simulator.testkit import World

_ASYNC_MARK: Final = "trio"
"""Of pytest-trio. anyio's runner would take neither its fixtures nor its clock."""


@pytest.fixture
def gapless_clock() -> "MockClock":
    """Virtual time: it passes as soon as nobody has anything to do. A test that uses a world runs on it by itself."""
    from trio.testing import MockClock  # noqa: PLC0415 (not before a test wants it)

    return MockClock(autojump_threshold=0)


@pytest.fixture
def _gapless_trio_test(request: pytest.FixtureRequest) -> None:
    """Say it where nobody would run an asynchronous fixture: the test would get a generator and wonder."""
    if not request.node.get_closest_marker(_ASYNC_MARK):
        pytest.fail(
            f"{request.node.name} uses gapless_world and is no trio test: install pytest-trio, write `async def`, and "
            "mark the test with @pytest.mark.trio or set trio_mode = true",
            pytrace=False,
        )


@pytest.fixture
async def gapless_world(_gapless_trio_test: None, gapless_clock: "MockClock") -> "AsyncIterator[World]":  # noqa: ARG001
    """A running exchange on a virtual network: one datum a second of BTC/USD and of ETH/USD, seeded.

    For another one, open it in the test: ``async with open_world(...) as world``, with the fixture ``gapless_clock``.
    """
    from gapless.simulator.testkit import open_world  # noqa: PLC0415 (not before a test wants it)

    async with open_world() as world:
        yield world


@pytest.fixture
def gapless_network(gapless_world: "World") -> "VirtualNetwork":
    """The network of ``gapless_world``: refuse, reset, black-hole, heal."""
    return gapless_world.network


@pytest.fixture
def gapless_exchange(gapless_world: "World") -> "ExchangeSimulator":
    """The exchange of ``gapless_world``: publish, fail, go silent, restart, and what it wrote down."""
    return gapless_world.exchange


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Run the tests that use a world on its clock, whether they name it or not.

    pytest-trio takes a clock from the arguments of the test alone, and a runner from the mark.
    """
    for item in items:
        if not isinstance(item, pytest.Function) or "gapless_clock" not in item.fixturenames:
            continue
        marks = list(item.iter_markers("trio"))
        if marks:
            runner = next((mark.kwargs["run"] for mark in marks if mark.kwargs.get("run")), None)
            item.add_marker(pytest.mark.trio(run=partial(_run, item, runner)), append=False)


def _run(
    item: pytest.Function,
    runner: "Callable[..., object] | None",
    test: Callable[..., object],
    *args: object,
    clock: object = None,
    **options: object,
) -> object:
    """Run a test as ``runner`` does, on the clock of its world unless it has named another one."""
    run = runner or _usual_runner()
    return run(test, *args, clock=item.funcargs["gapless_clock"] if clock is None else clock, **options)


def _usual_runner() -> Callable[..., object]:
    import trio  # noqa: PLC0415 (not before a test wants it)

    return trio.run
