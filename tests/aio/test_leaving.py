"""What else may happen while a block is entered and left: others ask, coroutines are closed, errors come late."""

import asyncio
import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing

import pytest
import trio
from loguru import logger

from gapless.controller import AnyEvent, ControllerEndedError, MarketData, NetworkConfig, State, Stream, aio
from gapless.controller import open_controller as open_trio_controller
from gapless.controller.aio import crossing as crossings
from gapless.controller.aio.crossing import NoAnswerError
from gapless.controller.aio.interruption import Interruption
from gapless.controller.exchanges import ReferenceExchange
from tests.aio.kit import PATIENCE_S, TICKER, Venue, data, ids, run, until, until_no_thread, venue

Ask = Callable[[aio.AsyncioController], Awaitable[object]]
Block = AbstractAsyncContextManager[aio.AsyncioController]


class DefectError(Exception):
    """Somebody's mistake."""


def opened(v: Venue, on_message: Callable[[AnyEvent], None] | None = None) -> Block:
    config = NetworkConfig(rate_limit_proactive=False)
    return aio.open_controller(
        ws_url=v.ws_url, rest_url=v.rest_url, streams=[TICKER], config=config, on_message=on_message
    )


def fail(event: AnyEvent) -> None:
    if isinstance(event, MarketData):
        raise DefectError("the callback's")


# -- others ask meanwhile ----------------------------------------------------------------------------------------------


async def for_a_state(controller: aio.AsyncioController) -> None:
    try:
        async with asyncio.timeout(0.003):
            await controller.wait_for(State.SILENT)
    except TimeoutError:
        return


async def for_history(controller: aio.AsyncioController) -> None:
    await controller.price_history("BTC/USD", limit=1)


@pytest.mark.parametrize("ask", [for_a_state, for_history])
def test_a_task_that_asks_while_the_block_is_left_is_told_so_and_no_other_feed_notices(ask: Ask) -> None:
    async def ask_on_and_on(controller: aio.AsyncioController) -> None:
        while True:
            await ask(controller)
            await asyncio.sleep(0.000_5)

    async def main() -> None:
        async with opened(v) as other:
            for _ in range(15):
                async with opened(v) as controller:
                    await asyncio.sleep(0.03)
                    asking = asyncio.create_task(ask_on_and_on(controller))
                    await asyncio.sleep(0.01)
                with pytest.raises(ControllerEndedError, match="block was left"):
                    await asking
            assert len(await data(other.__anext__, 10)) == 10

    with venue(rate_per_s=100) as v:
        run(main)


def test_the_end_is_told() -> None:
    """By the asyncio controller and by trio's; the state stays what it was."""

    async def main() -> None:
        async with opened(v) as controller:
            await controller.wait_for(State.CONNECTED)
            assert not controller.closed
        assert (controller.closed, controller.state) == (True, State.CONNECTED)
        with pytest.raises(DefectError):
            async with opened(v, fail) as controller:
                await asyncio.sleep(PATIENCE_S)
        assert controller.closed

    async def trio_main() -> None:
        async with open_trio_controller(ws_url=v.ws_url, rest_url=v.rest_url, streams=[TICKER]) as controller:
            await controller.wait_for(State.CONNECTED)
            assert not controller.closed
        assert (controller.closed, controller.state) == (True, State.CONNECTED)

    with venue(rate_per_s=100) as v:
        run(main)
        trio.run(trio_main)


def test_the_cursor_is_told_in_the_thread_of_the_loop_alone() -> None:
    """Another one cannot know what the app has just taken out."""

    async def main() -> None:
        async with opened(v) as controller:
            await until(lambda: v.subscribed() == 1)
            v.publish(3)
            await data(controller.__anext__, 2)
            with pytest.raises(RuntimeError, match="in the thread of the event loop"):
                await asyncio.to_thread(controller.cursor)
            assert controller.cursor().streams[0].next_id == 3
            held.append(controller)

    held: list[aio.AsyncioController] = []
    with venue() as v:
        run(main)
    assert held[0].cursor().streams[0].next_id == 3


def test_a_question_asked_in_the_thread_of_the_controllers_is_answered_there() -> None:
    """By a sink of the log, here: to wait for the thread it is called in would be to wait for ever."""
    answers: list[object] = []

    async def main() -> None:
        async with opened(v) as controller:
            await controller.wait_for(State.CONNECTED)

            def sink(_message: object) -> None:
                answers.append((threading.current_thread().name, controller.open_gaps, controller.freshness().keys()))

            number = logger.add(sink, filter="gapless.controller", catch=False, level="INFO")
            logger.enable("gapless")
            try:
                controller.reconnect()
                await until(lambda: bool(answers))
            finally:
                logger.remove(number)
                logger.disable("gapless")
            assert controller.open_gaps == {}

    with venue(rate_per_s=100) as v:
        run(main)
    assert ("gapless", {}, {TICKER: 0.0}.keys()) == answers[0]


def test_a_thread_that_does_not_answer_is_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what nobody waits for any more is not done later."""
    monkeypatch.setattr(crossings, "_ANSWER_MAX_S", 0.05)
    go_on = threading.Event()

    async def main() -> None:
        async with opened(v) as controller:
            await until(lambda: v.subscribed() == 1)
            controller.trio_token.run_sync_soon(go_on.wait, PATIENCE_S)
            with pytest.raises(NoAnswerError, match="has not answered") as caught:
                controller.reconnect()
            assert isinstance(caught.value, TimeoutError)
            go_on.set()
            monkeypatch.undo()
            await controller.wait_for(State.CONNECTED)
            assert controller.generation == 1

    with venue(rate_per_s=100) as v:
        run(main)


# -- coroutines that are closed ----------------------------------------------------------------------------------------


def one(v: Venue) -> AbstractAsyncContextManager[object]:
    return opened(v)


def several(v: Venue) -> AbstractAsyncContextManager[object]:
    exchange = ReferenceExchange(ws_url=v.ws_url, rest_url=v.rest_url, session_id="several")
    return aio.open_controllers(exchange=exchange, streams=[TICKER])


@pytest.mark.parametrize("block", [one, several])
def test_a_coroutine_that_is_closed_while_its_feed_opens_leaves_nothing(
    block: Callable[[Venue], AbstractAsyncContextManager[object]],
) -> None:
    """Though the loop lives on."""

    async def app() -> None:
        async with block(v):
            pytest.fail("it was entered")

    async def main() -> None:
        coroutine = app()
        coroutine.send(None)
        coroutine.close()
        await asyncio.to_thread(until_no_thread)

    with venue() as v:
        run(main)


def test_a_block_that_is_dropped_without_being_left_ends_its_feed() -> None:
    async def main() -> None:
        await opened(v).__aenter__()
        await asyncio.to_thread(until_no_thread)

    with venue() as v:
        run(main)


def test_an_async_generator_that_is_closed_has_its_feed_end() -> None:
    """It cannot be told from a coroutine that is closed, which cannot wait: so this does not wait, either."""

    async def events() -> AsyncGenerator[AnyEvent, None]:
        async with opened(v) as controller:
            async for event in controller:
                yield event

    async def main() -> None:
        async with aclosing(events()) as stream:
            await anext(stream)
        await until(lambda: v.do(lambda: v.exchange.hub.sockets) == 0)

    with venue(rate_per_s=100) as v:
        run(main)


def test_a_block_is_entered_once() -> None:
    async def main() -> None:
        block = opened(v)
        async with block:
            pass
        with pytest.raises(RuntimeError, match="entered before"):
            await block.__aenter__()

    with venue() as v:
        run(main)


# -- errors that come out nowhere else ---------------------------------------------------------------------------------


def listen() -> list[object]:
    """What nobody raises: the handler of the running loop gets it."""
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context["exception"]))
    return told


def test_an_error_beside_a_cancellation_from_elsewhere_is_told() -> None:
    """The cancellation comes out of the block, as with ``asyncio.timeout``."""

    async def app(clearing_up: asyncio.Event) -> None:
        async with opened(v, fail):
            try:
                await asyncio.sleep(PATIENCE_S)
            finally:
                clearing_up.set()
                await asyncio.sleep(PATIENCE_S)

    async def main() -> list[object]:
        told, clearing_up = listen(), asyncio.Event()
        task = asyncio.create_task(app(clearing_up))
        await until(lambda: v.subscribed() == 1)
        v.publish(1)
        await clearing_up.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return told

    with venue() as v:
        (error,) = run(main)
    assert isinstance(error, DefectError)


def test_a_second_error_and_one_that_comes_too_late_are_told() -> None:
    first, second, late = DefectError("first"), DefectError("second"), DefectError("late")

    async def main() -> list[object]:
        told, interruption = listen(), Interruption()
        for error in (first, first, second):
            interruption.interrupt(error)
        with pytest.raises(asyncio.CancelledError) as cancelled:
            await asyncio.sleep(0)
        with pytest.raises(DefectError, match="first"):
            interruption.end(cancelled.value)
        interruption.interrupt(late)
        return told

    assert run(main) == [second, late]


class Quitting(ReferenceExchange):
    """An adapter that ends the program."""

    def subscribe(self, streams: Sequence[Stream], request_id: str) -> Sequence[str]:  # noqa: ARG002
        sys.exit("no licence")


def test_what_would_end_a_program_ends_the_feed_that_it_comes_from() -> None:
    async def quit_soon() -> None:
        exchange = Quitting(ws_url=v.ws_url, rest_url=v.rest_url, session_id="quits")
        async with aio.open_controller(exchange=exchange, streams=[TICKER]):
            await asyncio.sleep(PATIENCE_S)

    async def main() -> None:
        async with opened(v) as other:
            await until(lambda: v.subscribed() == 1)
            with pytest.raises(SystemExit, match="no licence"):
                await quit_soon()
            v.publish(3)
            assert ids(await data(other.__anext__, 3)) == [1, 2, 3]

    with venue() as v:
        run(main)
