"""Event loops that are not the plain one: tasks that start eagerly, and anyio's scopes and groups."""

import asyncio
import sys
from collections.abc import Coroutine

import anyio
import pytest

from gapless.controller import AnyEvent, State, aio
from tests.aio.kit import PATIENCE_S, TICKER, Venue, data, ids, run, until, venue


class DefectError(Exception):
    """Somebody's mistake."""


async def take(v: Venue) -> list[int]:
    before = v.subscribed()
    async with aio.open_controller(ws_url=v.ws_url, rest_url=v.rest_url, streams=[TICKER]) as controller:
        await until(lambda: v.subscribed() > before)
        v.publish(20)
        taken = ids(await data(controller.__anext__, 20))
        await controller.price_history("BTC/USD", limit=1)
        return taken


async def wait_long(v: Venue) -> None:
    """Longer than any test: nothing is heard for the idle window."""
    async with aio.open_controller(ws_url=v.ws_url, rest_url=v.rest_url, streams=[TICKER]) as controller:
        await controller.wait_for(State.SILENT)


async def fail(v: Venue) -> None:
    def bad(event: AnyEvent) -> None:
        raise DefectError(type(event).__name__)

    async with aio.open_controller(ws_url=v.ws_url, rest_url=v.rest_url, streams=[TICKER], on_message=bad):
        while True:
            v.publish(1)
            await asyncio.sleep(0.05)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks start eagerly from Python 3.12 on")
def test_with_tasks_that_start_eagerly() -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
        assert await asyncio.create_task(take(v)) == list(range(1, 21))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.create_task(wait_long(v)), 0.2)
        with pytest.raises(DefectError):
            await asyncio.create_task(fail(v))
        opening = asyncio.create_task(wait_long(v))
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening

    with venue() as v:
        run(main)


def test_in_an_app_on_anyio() -> None:
    """Whose scopes cancel again and again, until their block is left."""

    async def main() -> None:
        with anyio.fail_after(2 * PATIENCE_S):
            assert await take(v) == list(range(1, 21))
            with anyio.move_on_after(0.2) as scope:
                await wait_long(v)
            assert scope.cancelled_caught
            with anyio.CancelScope() as scope:
                scope.cancel()
                await wait_long(v)
            assert scope.cancelled_caught
            with pytest.raises(ExceptionGroup) as caught:
                await in_a_group(wait_long(v), fail(v))
            assert caught.group_contains(DefectError)

    async def result_of(task: Coroutine[object, object, None]) -> None:
        await task

    async def in_a_group(*tasks: Coroutine[object, object, None]) -> None:
        async with anyio.create_task_group() as group:
            for each in tasks:
                group.start_soon(result_of, each)

    with venue() as v:
        anyio.run(main, backend="asyncio")
