"""Questions and waits between an event loop and the trio thread."""

import asyncio
import sys
import threading
from functools import partial

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

    def refuse(self, reason: BaseException | None) -> None:
        raise AssertionError("the thread had just been started") from reason

    async def run(self) -> None:
        with self.scope:
            async with trio.open_nursery() as nursery:
                crossing = Crossing(self.loop, nursery)
                self.loop.call_soon_threadsafe(self.ready.set_result, crossing)
                try:
                    await trio.sleep_forever()
                finally:
                    crossing.end()

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


def test_closing_a_coroutine_that_waits_ends_the_task_over_there() -> None:
    async def main() -> None:
        host, crossing, home = await hosted()
        waiting = crossing.call(host.work)
        waiting.send(None)
        await until(lambda: host.told == ["begun"])
        waiting.close()
        await until(lambda: host.told == ["begun", "ended"])
        assert not crossing.over
        home.post(host.cancel)

    run(main)


class Closing(Host):
    """A feed that is being closed: its nursery is, and nobody has said so yet."""

    async def run(self) -> None:
        with self.scope:
            async with trio.open_nursery() as nursery:
                crossing = Crossing(self.loop, nursery)
            self.loop.call_soon_threadsafe(self.ready.set_result, crossing)
            await trio.sleep_forever()


def test_a_wait_that_begins_while_the_feed_is_being_closed_fails_alone() -> None:
    """Other feeds of the thread go on."""

    async def main() -> None:
        other, others, home = await hosted()
        host = Closing()
        assert thread.admit(host) is home
        crossing = await host.ready
        with pytest.raises(RuntimeError, match="block was left"):
            await crossing.call(host.work)
        assert host.told == []
        assert others.ask(lambda: 7) == 7
        for each in (host, other):
            home.post(each.cancel)

    run(main)


def test_what_would_end_a_program_is_raised_where_it_was_asked_for() -> None:
    async def quitting() -> None:
        raise SystemExit("over there")

    async def main() -> None:
        host, crossing, home = await hosted()
        with pytest.raises(SystemExit, match="over there"):
            crossing.ask(partial(sys.exit, "over there"))
        with pytest.raises(SystemExit, match="over there"):
            await crossing.call(quitting)
        assert crossing.ask(lambda: 7) == 7
        home.post(host.cancel)

    run(main)


def test_what_changes_nothing_can_be_read_until_the_very_end() -> None:
    """In the trio thread as long as that can change something, and here afterwards."""

    async def main() -> None:
        host, crossing, home = await hosted()
        crossing.over = True
        with pytest.raises(RuntimeError, match="block was left"):
            crossing.ask(lambda: 1)
        assert crossing.read(threading.get_ident) != threading.get_ident()
        crossing.end()
        assert crossing.read(threading.get_ident) == threading.get_ident()
        home.post(host.cancel)

    run(main)
