"""The one thread of a process: how it starts, whom it tells of its end, and what a fork, a Ctrl-C or a lack of file
descriptors leave of it."""

import asyncio
import gc
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio

from gapless.controller import aio
from gapless.controller.aio import thread
from gapless.controller.host_limiters import anything_remembered
from tests.aio.kit import PATIENCE_S, TICKER, Venue, data, ids, run, threads, until, until_no_thread, venue

ROOT = Path(__file__).parent.parent.parent
NOBODY = "ws://127.0.0.1:9/ws"


class Lodger:
    """A guest that stays until it is cancelled."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.scope = trio.CancelScope()
        self.told: list[str] = []

    def cancel(self) -> None:
        self.scope.cancel()

    def refuse(self, reason: BaseException | None) -> None:
        self.told.append(f"refused: {reason!r}")

    async def run(self) -> None:
        self.told.append("begun")
        with self.scope:
            await trio.sleep_forever()
        self.told.append("ended")


@pytest.fixture(autouse=True)
def _leave_no_thread() -> None:
    until_no_thread()


def program(text: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", text, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output_of(process: "subprocess.Popen[str]") -> tuple[str, str]:
    try:
        return process.communicate(timeout=2 * PATIENCE_S)
    finally:
        process.kill()


async def feed_works(v: Venue) -> None:
    before = v.subscribed()
    async with aio.open_controller(ws_url=v.ws_url, rest_url=v.rest_url, streams=[TICKER]) as controller:
        await until(lambda: v.subscribed() > before)
        v.publish(3)
        assert len(ids(await data(controller.__anext__, 3))) == 3


# -- defects -----------------------------------------------------------------------------------------------------------


def test_a_word_that_raises_ends_no_feed_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda what: told.append(what.exc_type))

    async def main() -> None:
        lodger = Lodger()
        home = thread.admit(lodger)
        home.post(lambda: 1 // 0)
        home.post(lambda: lodger.told.append("a later word"))
        await until(lambda: "a later word" in lodger.told)
        home.post(lodger.cancel)
        await until(lambda: lodger.told == ["a later word", "begun", "ended"])

    run(main)
    assert told == [ZeroDivisionError]


def test_a_run_that_breaks_down_is_told_to_every_guest_and_the_next_feed_works() -> None:
    """A callback that is not ours to guard ends trio's run; who was in must not wait for ever."""

    def break_down() -> None:
        raise ZeroDivisionError("in the middle of trio's loop")

    async def main() -> None:
        async with AsyncExitStack() as stack:
            stack.enter_context(pytest.raises(RuntimeError, match="was ended by TrioInternalError"))
            opening = aio.open_controller(ws_url=v.ws_url, rest_url=v.rest_url, streams=[TICKER])
            controller = await stack.enter_async_context(opening)
            await until(lambda: v.subscribed() == 1)
            controller.trio_token.run_sync_soon(break_down)
            await asyncio.sleep(PATIENCE_S)
        assert controller.closed
        assert controller.streams == (TICKER,)
        await feed_works(v)

    with venue() as v:
        run(main)


def test_a_feed_is_told_when_the_thread_is_stopped() -> None:
    """And makes no error of the cancellations that end it."""

    async def main() -> None:
        home = thread.admit(Lodger())

        async def app() -> None:
            async with aio.open_controller(ws_url=v.ws_url, rest_url=v.rest_url, streams=[TICKER]):
                await until(lambda: v.subscribed() == 1)
                home.post(home.stop)
                await asyncio.sleep(PATIENCE_S)

        with pytest.raises(RuntimeError, match="the thread of all controllers was ended") as caught:
            await app()
        assert str(caught.value) == "the thread of all controllers was ended"
        assert caught.value.__cause__ is None
        await asyncio.to_thread(until_no_thread)
        await feed_works(v)

    with venue() as v:
        run(main)


def test_a_dropped_coroutine_is_collected_at_any_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here while the lock is held: any allocation may have the garbage collector close it, which has its feed end."""
    entered = threading.Event()

    def collecting() -> bool:
        gc.collect()
        return anything_remembered()

    async def app() -> None:
        async with aio.open_controller(ws_url=v.ws_url, rest_url=v.rest_url, streams=[TICKER]):
            entered.set()
            await asyncio.Event().wait()

    def drop() -> None:
        loop = asyncio.new_event_loop()
        task = loop.create_task(app())
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001  # asyncio's word about it
        loop.run_until_complete(until(entered.is_set))
        loop.close()

    monkeypatch.setattr(thread, "anything_remembered", collecting)
    gc.disable()
    try:
        with venue() as v:
            drop()
            until_no_thread()
    finally:
        gc.enable()


# -- the start ---------------------------------------------------------------------------------------------------------


def cannot_start(monkeypatch: pytest.MonkeyPatch) -> type[BaseException]:
    start = threading.Thread.start

    def fail(self: threading.Thread) -> None:
        if self.name == thread.NAME:
            raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(threading.Thread, "start", fail)
    return RuntimeError


def interrupted_once_it_runs(monkeypatch: pytest.MonkeyPatch) -> type[BaseException]:
    start = threading.Thread.start

    def interrupted(self: threading.Thread) -> None:
        start(self)
        if self.name == thread.NAME:
            raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    return KeyboardInterrupt


def interrupted_once_the_guest_is_in(monkeypatch: pytest.MonkeyPatch) -> type[BaseException]:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(thread, "copy_context", interrupted)
    return KeyboardInterrupt


@pytest.mark.parametrize(
    "spoil", [cannot_start, interrupted_once_it_runs, interrupted_once_the_guest_is_in], ids=lambda each: each.__name__
)
def test_a_start_that_fails_is_raised_at_once_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, spoil: Callable[[pytest.MonkeyPatch], type[BaseException]]
) -> None:
    """There is no end of a feed to wait for, and what comes out is the reason."""

    async def main() -> None:
        with monkeypatch.context() as spoilt:
            kind = spoil(spoilt)
            begun_at = asyncio.get_running_loop().time()
            with pytest.raises(kind) as caught:
                async with aio.open_controller(ws_url=NOBODY, rest_url="http://127.0.0.1:9", streams=[TICKER]):
                    pytest.fail("it opened")
            assert asyncio.get_running_loop().time() - begun_at < 2
            assert caught.value.__context__ is None
        await asyncio.to_thread(until_no_thread)
        await feed_works(v)

    with venue() as v:
        run(main)


NO_DESCRIPTORS = """
import asyncio, os, resource
from gapless.controller import aio, Stream

def opened():
    streams = [Stream("ticker", "BTC/USD")]
    return aio.open_controller(ws_url="ws://127.0.0.1:9/ws", rest_url="http://127.0.0.1:9", streams=streams)

async def main():
    held = []
    try:
        while True:
            held.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        os.close(held.pop())
    try:
        async with opened():
            print("opened without descriptors")
    except RuntimeError as error:
        print(type(error.__cause__).__name__, error)
    for each in held:
        os.close(each)
    async with opened():
        print("opened")

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
asyncio.run(main())
"""


def test_a_run_that_cannot_start_for_lack_of_descriptors_harms_no_later_one() -> None:
    """In a process of its own: the limit holds for the whole of it."""
    pytest.importorskip("resource", reason="this system has no limits of the kind")
    out, err = output_of(program(NO_DESCRIPTORS))
    first, second = out.splitlines()
    assert first.startswith("OSError the thread of all controllers was ended by OSError(24, ")
    assert second == "opened"
    assert err == ""


# -- the end of the process, and forks ---------------------------------------------------------------------------------


FORKED = """
import asyncio, multiprocessing, sys
from gapless.controller import aio, Stream

def opened():
    return aio.open_controller(ws_url=sys.argv[1], rest_url=sys.argv[2], streams=[Stream("ticker", "BTC/USD")])

async def one():
    async with opened() as controller:
        await anext(controller)
        print("the child's feed works", flush=True)

async def main():
    async with opened() as controller:
        await anext(controller)
        child = multiprocessing.get_context("fork").Process(target=lambda: asyncio.run(one()))
        child.start()
        await asyncio.to_thread(child.join, 10)
        print("exit code", child.exitcode)
        child.kill()
        await anext(controller)
        print("the parent's, too")

asyncio.run(main())
"""


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="this system does not fork")
def test_the_child_of_a_fork_has_a_thread_of_its_own() -> None:
    """A real fork: what it leaves out is the parent's threads, and nothing else does that. In a process of its own, for
    the child takes over whatever lives here."""
    with venue(rate_per_s=100) as v:
        out, err = output_of(program(FORKED, v.ws_url, v.rest_url))
    assert out.splitlines() == ["the child's feed works", "exit code 0", "the parent's, too"], err


ENDING = """
import atexit, asyncio, sys, threading, time

def tell():
    print("threads:", sum(thread.name == "gapless" for thread in threading.enumerate()))

atexit.register(tell)  # Before the library's own, so it is called after that.

import trio
from gapless.controller import aio, Stream

run = trio.run

def long_run(*arguments):
    run(*arguments)
    time.sleep(1.0)

trio.run = long_run

async def main():
    async with aio.open_controller(ws_url=sys.argv[1], rest_url=sys.argv[2], streams=[Stream("ticker", "BTC/USD")]):
        pass

asyncio.run(main())
atexit.register(print, "ending", flush=True)
"""


@pytest.mark.parametrize("presses", [0, 2])
def test_the_end_of_a_process_waits_for_a_thread_that_ends_by_itself(presses: int) -> None:
    """It is nobody's any more once its last feed was left; and whoever presses Ctrl-C now gains nothing by it."""
    with venue() as v:
        process = program(ENDING, v.ws_url, v.rest_url)
        assert process.stdout is not None
        assert process.stdout.readline() == "ending\n"
        for _ in range(presses):
            threading.Event().wait(0.1)
            process.send_signal(signal.SIGINT)
        out, err = output_of(process)
    assert (out, err) == ("threads: 0\n", "")


OPENING = """
import asyncio, sys
from gapless.controller import aio, Stream

async def main():
    print("opening", flush=True)
    async with aio.open_controller(ws_url=sys.argv[1], rest_url=sys.argv[2], streams=[Stream("ticker", "BTC/USD")]):
        await asyncio.sleep(60)

if len(sys.argv) > 3:
    asyncio.new_event_loop().run_until_complete(main())
else:
    asyncio.run(main())
"""


@pytest.mark.parametrize("raw", [[], ["a loop that handles no signals"]], ids=["run", "raw"])
@pytest.mark.parametrize("after_s", [0.0, 0.005, 0.03])
def test_ctrl_c_while_a_feed_opens(after_s: float, raw: list[str]) -> None:
    """Whatever it hits: the process ends at once, by that signal."""
    with venue() as v:
        process = program(OPENING, v.ws_url, v.rest_url, *raw)
        assert process.stdout is not None
        assert process.stdout.readline() == "opening\n"
        threading.Event().wait(after_s)
        process.send_signal(signal.SIGINT)
        _, err = output_of(process)
    # Python itself says 1 where code was compiled since the program began, as under 3.11.
    assert process.returncode in (-signal.SIGINT, 1), err
    assert err.splitlines()[-1] == "KeyboardInterrupt"
    for trouble in ("Fatal", "did not end", "ignored"):
        assert trouble not in err


def test_the_current_thread_is_the_only_one_that_stays() -> None:
    async def main() -> None:
        for _ in range(3):
            await feed_works(v)
            assert len(threads()) == 1

    with venue() as v:
        run(main)
