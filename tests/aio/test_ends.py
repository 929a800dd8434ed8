"""Every way in which a feed ends, from either side, and what is left: nothing."""

import asyncio
import inspect
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from math import inf
from pathlib import Path

import pytest
from loguru import logger

from gapless.controller import (
    AnyEvent,
    ConfigurationError,
    DeliveryOverflowError,
    MarketData,
    NetworkConfig,
    ReconnectExhaustedError,
    State,
    Stream,
    aio,
)
from gapless.controller.exchanges import ReferenceExchange
from tests.aio.kit import PATIENCE_S, TICKER, Venue, data, ids, run, threads, until, venue

ROOT = Path(__file__).parent.parent.parent
NOBODY = "ws://127.0.0.1:9/ws"
"""The discard port of this machine, where nobody listens."""


class DefectError(Exception):
    """Somebody's mistake."""


@pytest.fixture(autouse=True)
def _one_thread_at_most() -> Iterator[None]:
    """It may stay for a while where a host's limiter has something to remember."""
    yield
    assert len(threads()) <= 1


def opened(v: Venue, config: NetworkConfig | None = None) -> AbstractAsyncContextManager[aio.AsyncioController]:
    return aio.open_controller(ws_url=v.ws_url, rest_url=v.rest_url, streams=[TICKER], config=config)


async def gone(v: Venue) -> None:
    """The exchange has no socket any more."""
    await until(lambda: v.do(lambda: v.exchange.hub.sockets) == 0)


# -- the app leaves ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate_per_s", [0.0, 5_000.0])
def test_leaving_the_block_takes_less_than_half_a_second(rate_per_s: float) -> None:
    async def main() -> float:
        async with opened(v) as controller:
            await until(lambda: v.subscribed() == 1)
            if rate_per_s:
                await anext(controller)
            left_at = time.monotonic()
        took_s = time.monotonic() - left_at
        await gone(v)
        return took_s

    # The best of five: a machine that does something else is no fault of the feed's.
    took_s = inf
    for _ in range(5):
        with venue(rate_per_s=rate_per_s) as v:
            took_s = min(took_s, run(main))
        if took_s < 0.5:
            break
    assert took_s < 0.5


@pytest.mark.parametrize("waits_for", ["an event", "a batch", "a state", "history"])
def test_cancelling_a_task_that_waits_costs_nothing(waits_for: str) -> None:
    """What comes afterwards is whole: nothing was taken out by who was cancelled."""

    async def wait(controller: aio.AsyncioController) -> object:
        if waits_for == "an event":
            return await anext(controller)
        if waits_for == "a batch":
            return await anext(controller.batches())
        if waits_for == "a state":
            await controller.wait_for(State.SILENT)
        return await controller.price_history("BTC/USD")

    async def main() -> None:
        async with opened(v) as controller:
            await until(lambda: v.subscribed() == 1)
            for _ in range(20):
                waiting = asyncio.create_task(wait(controller))
                await asyncio.sleep(0)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
            v.publish(30)
            assert ids(await data(controller.__anext__, 30)) == list(range(1, 31))

    with venue() as v:
        run(main)


def test_a_time_out_beside_a_stream_of_events_loses_none() -> None:
    """Cancelled again and again at whatever moment it is, the loop goes on where it was."""

    async def main() -> None:
        async with opened(v) as controller:
            taken: list[AnyEvent] = []

            async def take() -> None:
                async for event in controller:
                    taken.append(event)
                    await asyncio.sleep(0)

            while len(ids(taken)) < 300:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(take(), 0.002)
            (position,) = controller.cursor().streams
            owed = {each for start, end in position.holes for each in range(start, end + 1)}
            assert position.next_id is not None
            # A busy machine makes gaps: what of them is not here yet, the cursor must still owe.
            assert sorted(ids(taken)) == sorted(set(range(min(ids(taken)), position.next_id)) - owed)

    with venue(rate_per_s=2_000) as v:
        run(main)


@pytest.mark.parametrize("turns", range(6))
def test_cancelled_while_it_opens(turns: int) -> None:
    """At any of the first turns of the loop."""

    async def app(entered: asyncio.Event) -> None:
        async with opened(v):
            entered.set()
            await asyncio.sleep(PATIENCE_S)

    async def main() -> None:
        entered = asyncio.Event()
        task = asyncio.create_task(app(entered))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await gone(v)

    with venue() as v:
        run(main)


def test_cancelled_while_it_closes_it_closes_all_the_same() -> None:
    async def app(leave: asyncio.Event, left: list[str]) -> None:
        async with AsyncExitStack() as stack:
            controller = await stack.enter_async_context(opened(v))
            await leave.wait()
            try:
                await stack.aclose()
            finally:
                with pytest.raises(RuntimeError, match="block was left"):
                    controller.reconnect()
                left.append("closed")

    async def main() -> None:
        leave, left = asyncio.Event(), list[str]()
        task = asyncio.create_task(app(leave, left))
        await until(lambda: v.subscribed() == 1)
        leave.set()
        await asyncio.sleep(0)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert left
        await gone(v)

    with venue() as v:
        run(main)


def test_the_exception_of_the_block_comes_out_as_it_is() -> None:
    async def main() -> None:
        async with opened(v):
            raise DefectError("the app's")

    with venue() as v, pytest.raises(DefectError, match="the app's"):
        run(main)


# -- the feed fails ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streams", [[], [TICKER, TICKER]])
def test_arguments_that_cannot_work_are_refused_at_once(streams: list[Stream]) -> None:
    async def main() -> None:
        async with aio.open_controller(ws_url=NOBODY, rest_url="http://127.0.0.1:9", streams=streams):
            pytest.fail("it opened")

    with pytest.raises(ConfigurationError, match="expected at least one stream, all different") as caught:
        run(main)
    assert "opening.py" in str(traceback.extract_tb(caught.value.__traceback__))
    assert caught.value.__context__ is None


def test_spent_attempts_end_the_block() -> None:
    """The body is cancelled where it stands, and the reason comes out in place of that."""

    async def main() -> None:
        config = NetworkConfig(reconnect_max_attempts=1, reconnect_exhausted="raise", reconnect_initial_backoff=0.1)
        async with aio.open_controller(
            ws_url=NOBODY, rest_url="http://127.0.0.1:9", streams=[TICKER], config=config
        ) as controller:
            async for event in controller:
                assert not isinstance(event, MarketData)
            await asyncio.sleep(PATIENCE_S)

    with pytest.raises(ReconnectExhaustedError, match="1 attempts in a row failed") as caught:
        run(main)
    assert "_give_up" in str(traceback.extract_tb(caught.value.__traceback__))


def test_a_task_that_was_interrupted_is_not_cancelled_for_ever() -> None:
    async def main() -> None:
        config = NetworkConfig(reconnect_max_attempts=1, reconnect_exhausted="raise", reconnect_initial_backoff=0.1)
        with pytest.raises(ReconnectExhaustedError):
            async with aio.open_controller(
                ws_url=NOBODY, rest_url="http://127.0.0.1:9", streams=[TICKER], config=config
            ):
                await asyncio.sleep(PATIENCE_S)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.sleep(0.01)

    run(main)


class Defective(ReferenceExchange):
    """An adapter with a mistake in it."""

    def subscribe(self, streams: Sequence[Stream], request_id: str) -> Sequence[str]:  # noqa: ARG002
        raise DefectError("the adapter's")


def test_a_defect_in_the_thread_comes_out_with_its_traceback() -> None:
    """And no other feed of the thread takes notice."""

    async def main() -> None:
        exchange = Defective(ws_url=v.ws_url, rest_url=v.rest_url, session_id="defective")
        async with opened(v) as healthy:
            await until(lambda: v.subscribed() == 1)
            with pytest.raises(DefectError, match="the adapter's") as caught:  # noqa: PT012
                async with aio.open_controller(exchange=exchange, streams=[TICKER]) as controller:
                    async for _ in controller:
                        pass
                    await asyncio.sleep(PATIENCE_S)
            assert "in subscribe" in "".join(traceback.format_tb(caught.value.__traceback__))
            v.publish(5)
            assert ids(await data(healthy.__anext__, 5)) == [1, 2, 3, 4, 5]

    with venue() as v:
        run(main)


def test_two_failures_at_once_come_out_as_a_group() -> None:
    async def main() -> None:
        exchange = Defective(ws_url=v.ws_url, rest_url=v.rest_url, session_id="defective")
        async with aio.open_controller(exchange=exchange, streams=[TICKER]):
            try:
                await asyncio.sleep(PATIENCE_S)
            finally:
                raise ValueError("the app's")

    with venue() as v, pytest.raises(ExceptionGroup) as caught:
        run(main)
    assert [type(error) for error in caught.value.exceptions] == [ValueError, DefectError]


def test_an_overflow_reaches_the_loop_behind_what_was_held() -> None:
    async def main() -> list[int]:
        taken: list[AnyEvent] = []
        config = NetworkConfig(overflow="raise", buffer_size=1_000, heartbeat_interval=0.1, heartbeat_timeout=5)
        async with opened(v, config) as controller:
            await until(lambda: v.subscribed() == 1)
            v.publish(4_000)
            # More than all that lies on the way can hold. A PONG for a PING sent from now on comes behind it.
            for _ in range(2):
                before = controller.round_trip_s
                await until(lambda before=before: controller.round_trip_s != before)  # type: ignore[misc]
            with pytest.raises(DeliveryOverflowError):  # noqa: PT012
                async for event in controller:
                    taken.append(event)  # noqa: PERF401  # what came before the error counts
        return ids(taken)

    with venue() as v:
        got = run(main)
    assert got == list(range(1, len(got) + 1))
    assert 1_000 < len(got) < 4_000


@pytest.mark.parametrize("which", ["on_message", "on_state_change"])
def test_what_a_callback_raises_comes_out_of_the_block(which: str) -> None:
    def fail(event: AnyEvent) -> None:
        raise DefectError(type(event).__name__)

    async def main() -> None:
        callback = fail if which == "on_message" else None
        on_state_change = fail if which == "on_state_change" else None
        async with aio.open_controller(
            ws_url=v.ws_url,
            rest_url=v.rest_url,
            streams=[TICKER],
            on_message=callback,
            on_state_change=on_state_change,
        ):
            await until(lambda: v.subscribed() == 1)
            v.publish(1)
            await asyncio.sleep(PATIENCE_S)

    with venue() as v, pytest.raises(DefectError) as caught:
        run(main)
    assert "fail" in str(traceback.extract_tb(caught.value.__traceback__))


def test_after_the_end_what_is_known_is_still_told_and_nothing_can_be_asked_for() -> None:
    async def main() -> None:
        async with opened(v) as controller:
            await until(lambda: v.subscribed() == 1)
            v.publish(3)
            await data(controller.__anext__, 2)
        assert controller.streams == (TICKER,)
        assert controller.open_gaps == {}
        assert controller.cursor().streams[0].next_id == 3
        assert ids([event async for event in controller]) in ([], [3])
        for ask in (lambda: controller.subscribe(TICKER), controller.reconnect, controller.freshness):
            with pytest.raises(RuntimeError, match="block was left"):
                ask()
        with pytest.raises(RuntimeError, match="block was left"):
            await controller.wait_for(State.SILENT)

    with venue() as v:
        run(main)


# -- the loop or the process ends --------------------------------------------------------------------------------------


def test_a_loop_that_is_closed_with_the_feed_in_it_ends_the_feed() -> None:
    """Nobody left the block: the coroutine was dropped with its loop."""

    async def app() -> None:
        async with opened(v) as controller:
            async for _ in controller:
                pass

    with venue(rate_per_s=100) as v:
        loop = asyncio.new_event_loop()
        task = loop.create_task(app())
        loop.run_until_complete(until(lambda: v.subscribed() == 1))
        loop.close()
        run(lambda: gone(v))
        coroutine = task.get_coro()
        assert inspect.iscoroutine(coroutine)
        coroutine.close()
        # What asyncio says of a task that was dropped with its loop is the app's business.
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001


def test_a_coroutine_that_is_closed_in_its_block_ends_the_feed() -> None:
    """What the garbage collector does with a coroutine that nobody will resume: GeneratorExit, and no waiting."""

    is_inside = False

    async def app() -> None:
        nonlocal is_inside
        async with opened(v):
            is_inside = True
            await asyncio.Event().wait()

    async def main() -> None:
        coroutine = app()
        waits = coroutine.send(None)
        while not is_inside or v.subscribed() < 1:
            assert waits is None or isinstance(waits, asyncio.Future)
            if waits is not None and not waits.done():
                await asyncio.sleep(0.001)
            else:
                waits = coroutine.send(None)
        coroutine.close()
        await gone(v)

    with venue() as v:
        run(main)


CTRL_C = """
import asyncio, sys
from gapless.controller import aio, Stream

async def main():
    streams = [Stream("ticker", "BTC/USD")]
    try:
        async with aio.open_controller(ws_url=sys.argv[1], rest_url=sys.argv[2], streams=streams) as controller:
            async for batch in controller.batches():
                print("data", flush=True)
    finally:
        print("left", flush=True)

asyncio.run(main())
"""
ABANDONED = """
import asyncio, sys
from gapless.controller import aio, Stream

loop = asyncio.new_event_loop()
block = aio.open_controller(ws_url=sys.argv[1], rest_url=sys.argv[2], streams=[Stream("ticker", "BTC/USD")])
controller = loop.run_until_complete(block.__aenter__())
loop.run_until_complete(anext(controller))
print("data", flush=True)
"""


@pytest.mark.parametrize(("program", "code"), [(CTRL_C, -signal.SIGINT), (ABANDONED, 0)])
def test_a_process_ends_with_its_feeds(program: str, code: int) -> None:
    """By Ctrl-C, which leaves the block; and by the end of a program that never left it."""
    with venue(rate_per_s=100) as v:
        process = subprocess.Popen(
            [sys.executable, "-c", program, v.ws_url, v.rest_url],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "data\n"
            if code:
                process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
    assert process.returncode == code, err
    assert ("left" in out) == bool(code)
    assert "Fatal" not in err


def test_log_lines_of_a_feed_carry_what_the_app_had_bound() -> None:
    bound: set[object] = set()

    async def main() -> None:
        with logger.contextualize(app="this one"):
            async with opened(v) as controller:
                await until(lambda: v.subscribed() == 1)
                v.publish(1)
                await controller.wait_for(State.CONNECTED)

    logger.enable("gapless")
    sink = logger.add(lambda message: bound.add(message.record["extra"].get("app")), filter="gapless.controller")
    try:
        with venue() as v:
            run(main)
    finally:
        logger.remove(sink)
        logger.disable("gapless")
    assert bound == {"this one"}


def test_threads_of_the_library_are_daemons_with_a_name() -> None:
    async def main() -> None:
        async with opened(v):
            (thread,) = threads()
            assert thread.daemon
            assert thread is not threading.current_thread()

    with venue() as v:
        run(main)


def test_what_came_with_an_event_whose_callback_raised_is_not_consumed() -> None:
    """Nor is that event; while its callback runs it is, so that both can be stored together."""
    taken: list[int] = []
    while_running: list[int | None] = []

    opened: list[aio.AsyncioController] = []

    async def main() -> None:
        def on_message(event: AnyEvent) -> None:
            if not isinstance(event, MarketData):
                return
            while_running.append(opened[0].cursor().streams[0].next_id)
            if event.sequence_id == 30:
                raise DefectError
            taken.append(event.sequence_id or 0)

        async with aio.open_controller(
            ws_url=v.ws_url, rest_url=v.rest_url, streams=[TICKER], on_message=on_message
        ) as controller:
            opened.append(controller)
            await until(lambda: v.subscribed() == 1)
            v.publish(100)
            await asyncio.sleep(PATIENCE_S)

    with venue() as v, pytest.raises(DefectError):
        run(main)
    assert taken == list(range(1, 30))
    assert while_running == list(range(2, 32))
    assert opened[0].cursor().streams[0].next_id == 30
