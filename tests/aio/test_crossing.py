"""Questions and waits between an event loop and the trio thread."""

import asyncio
import threading

import pytest
import trio

from gapless.controller import ControllerEndedError
from gapless.controller.aio import thread
from gapless.controller.aio.crossing import Crossing
from tests.aio.kit import run, until


class Host:
    """A crossing to a task in the trio thread."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.scope = trio.CancelScope()
        self.ready: asyncio.Future[Crossing] = self.loop.create_future()
        self.told: list[str] = []

    def cancel(self) -> None:
        self.scope.cancel()

    def refuse(self) -> None:
        raise AssertionError("the thread had just been started")

    async def run(self) -> None:
        with self.scope:
            async with trio.open_nursery() as nursery:
                crossing = Crossing(self.loop, nursery)
                self.loop.call_soon_threadsafe(self.ready.set_result, crossing)
                try:
                    await trio.sleep_forever()
                finally:
                    crossing.over = True

    async def work(self) -> None:
        self.told.append("begun")
        try:
            await trio.sleep_forever()
        finally:
            self.told.append("ended")


async def hosted() -> tuple[Host, Crossing, thread.TrioThread]:
    host = Host()
    home = thread.admit(host)
    return host, await host.ready, home


def test_a_question_is_answered_in_the_other_thread_with_its_value_or_its_error() -> None:
    async def main() -> None:
        host, crossing, home = await hosted()
        assert crossing.ask(threading.get_ident) != threading.get_ident()
        with pytest.raises(ZeroDivisionError):
            crossing.ask(lambda: 1 // 0)
        assert await asyncio.to_thread(crossing.ask, lambda: 7) == 7
        home.post(host.cancel)
        await until(lambda: crossing.over)
        with pytest.raises(RuntimeError, match="block was left"):
            crossing.ask(lambda: 1)
        assert crossing.read(threading.get_ident) == threading.get_ident()

    run(main)


def test_a_question_from_the_thread_itself_is_answered_at_once() -> None:
    """To wait there for itself would be to wait for ever."""

    async def main() -> None:
        host, crossing, home = await hosted()
        assert crossing.ask(lambda: crossing.ask(threading.get_ident)) != threading.get_ident()
        home.post(host.cancel)
        await until(lambda: crossing.over)
        with pytest.raises(ControllerEndedError):
            crossing.ask(lambda: 1)

    run(main)


def test_cancelling_a_wait_cancels_the_task_over_there() -> None:
    async def main() -> None:
        host, crossing, home = await hosted()
        waiting = asyncio.create_task(crossing.call(host.work))
        await until(lambda: host.told == ["begun"])
        waiting.cancel()
        await until(lambda: host.told == ["begun", "ended"])
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not crossing.over
        home.post(host.cancel)

    run(main)


def test_a_wait_ends_with_what_it_waits_for() -> None:
    """Also one that begins when all is over."""

    async def main() -> None:
        host, crossing, home = await hosted()
        waiting = asyncio.create_task(crossing.call(host.work))
        await until(lambda: host.told == ["begun"])
        home.post(host.cancel)
        with pytest.raises(RuntimeError, match="block was left"):
            await waiting
        with pytest.raises(RuntimeError, match="block was left"):
            await crossing.call(host.work)
        assert host.told == ["begun", "ended"]

    run(main)
