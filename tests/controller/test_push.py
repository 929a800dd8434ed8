"""What trio-websocket brings is handed over in batches, and nothing is held while anybody waits for the peer."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gapless.controller.errors import LinkError
from gapless.controller.transports import PushConnection, TrioWebsocketTransport
from gapless.simulator.network import Direction, VirtualNetwork
from tests.controller.wire_peer import Line, peer
from tests.controller.wire_pieces import CLOSE, CONT, PING, TEXT, frame

TRANSPORT = TrioWebsocketTransport(message_size_max=100_000)


class Inbox:
    """What was handed over, and when."""

    def __init__(self) -> None:
        self.batches: list[list[str | bytes]] = []
        self.times: list[float] = []
        self.reason = ""

    @property
    def messages(self) -> list[str | bytes]:
        return [each for batch in self.batches for each in batch]

    def enter(self, frames: Sequence[str | bytes]) -> None:
        self.batches.append(list(frames))
        self.times.append(trio.current_time())


@asynccontextmanager
async def pushed(url: str, inbox: Inbox) -> AsyncIterator[None]:
    """A connection that pushes into ``inbox``, until the block is left or the peer ends it."""

    async def read(connection: PushConnection) -> None:
        try:
            await connection.push(inbox.enter)
        except LinkError as error:
            inbox.reason = str(error)

    async with TRANSPORT.connect(url) as connection, trio.open_nursery() as nursery:
        assert isinstance(connection, PushConnection)
        nursery.start_soon(read, connection)
        yield
        nursery.cancel_scope.cancel()


async def test_a_burst_comes_in_batches_in_its_order(autojump_clock: MockClock) -> None:
    texts = [str(number) for number in range(1_000)]

    async def burst(line: Line) -> None:
        await line.accept()
        await line.send(b"".join(frame(TEXT, text.encode()) for text in texts))
        await trio.sleep(100)

    inbox = Inbox()
    async with peer(burst) as url, pushed(url, inbox):
        await trio.sleep(1)
        assert inbox.messages == texts
        assert len(inbox.batches) <= len(texts) / 10
        assert max(map(len, inbox.batches)) <= 16


async def test_nothing_waits_for_what_the_peer_has_not_sent_yet(autojump_clock: MockClock) -> None:
    """A message is handed over at once: alone, before a half frame, before a half message, before a long silence."""

    async def piecemeal(line: Line) -> None:
        await line.accept()
        await trio.sleep(1)
        await line.send(frame(TEXT, b"alone"))
        await trio.sleep(1)
        await line.send(frame(TEXT, b"first") + frame(TEXT, b"half")[:3])
        await trio.sleep(1)
        await line.send(frame(TEXT, b"half")[3:] + frame(TEXT, b"two ", flags=0))
        await trio.sleep(1)
        await line.send(frame(PING, b"") + frame(CONT, b"parts"))
        await trio.sleep(100)

    inbox = Inbox()
    async with peer(piecemeal) as url, pushed(url, inbox):
        began = trio.current_time()
        await trio.sleep(10)
        assert inbox.messages == ["alone", "first", "half", "two parts"]
        assert [time - began for time in inbox.times] == pytest.approx([1, 2, 3, 4], abs=0.1)


async def test_nothing_waits_for_an_answer_that_cannot_be_sent(autojump_clock: MockClock) -> None:
    """trio-websocket's only reader answers a PING itself, and the peer reads nothing: what came before is not held."""
    network = VirtualNetwork()

    async def ping(line: Line) -> None:
        await line.accept()
        network.black_hole(direction=Direction.TO_SERVER)
        for _ in range(3):
            await line.send(frame(TEXT, b"data") + frame(PING, b"x" * 125) * 5_000)
            await trio.sleep(1)
        await trio.sleep(100)

    inbox = Inbox()
    async with peer(ping, network) as url, pushed(url, inbox):
        await trio.sleep(0.5)
        assert inbox.messages == ["data"]


async def test_what_came_before_the_end_is_handed_over(autojump_clock: MockClock) -> None:
    async def leave(line: Line) -> None:
        await line.accept()
        await line.send(frame(TEXT, b"one") + frame(TEXT, b"two") + frame(CLOSE, b"\x03\xe9bye"))
        await trio.sleep(100)

    inbox = Inbox()
    async with peer(leave) as url, pushed(url, inbox):
        await trio.sleep(1)
        assert inbox.messages == ["one", "two"]
        assert inbox.reason == "closed: 1001 GOING_AWAY, 'bye'"


@pytest.mark.parametrize("frames", [1, 500])
async def test_an_epoch_that_was_left_ends_the_connection(frames: int, autojump_clock: MockClock) -> None:
    """Whoever enters a batch may refuse it, in the link's task or in the reader's: trio decides, so often enough."""

    async def speak(line: Line) -> None:
        await line.accept()
        await trio.sleep(0.5)
        await line.send(frame(TEXT, b"data") * frames)
        await trio.sleep(100)

    def refuse(_frames: Sequence[str | bytes]) -> None:
        raise LinkError("the server speaks of an epoch that was left")

    async with peer(speak) as url:
        for _ in range(16):
            with pytest.raises(LinkError, match="epoch that was left"):
                await _push(url, refuse)


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyError, LinkError])
async def test_a_defect_in_entering_comes_out_as_it_is(error: type[Exception], autojump_clock: MockClock) -> None:
    """trio-websocket's reader would lose it: its end is a cancellation, and it logs a KeyError."""

    async def speak(line: Line) -> None:
        await line.accept()
        await trio.sleep(0.5)
        await line.send(frame(TEXT, b"data") + frame(PING, b"") + frame(TEXT, b"data") * 200)
        await trio.sleep(100)

    calls = 0

    def defect(_frames: Sequence[str | bytes]) -> None:
        nonlocal calls
        calls += 1
        raise error("a defect")

    async with peer(speak) as url:
        for attempt in range(1, 17):
            with pytest.raises(error, match="a defect"):
                await _push(url, defect)
            assert calls == attempt, "nothing is entered after it"


async def _push(url: str, enter: Callable[[Sequence[str | bytes]], None]) -> None:
    async with TRANSPORT.connect(url) as connection:
        assert isinstance(connection, PushConnection)
        with trio.fail_after(1):
            await connection.push(enter)


async def test_who_has_left_is_told_nothing_more(autojump_clock: MockClock) -> None:
    async def speak(line: Line) -> None:
        await line.accept()
        await trio.sleep(1)
        await line.send(frame(TEXT, b"late"))
        await trio.sleep(100)

    inbox = Inbox()
    async with peer(speak) as url, TRANSPORT.connect(url) as connection:
        assert isinstance(connection, PushConnection)
        with trio.move_on_after(0.5):
            await connection.push(inbox.enter)
        await trio.sleep(2)
        await wait_all_tasks_blocked()
        assert inbox.batches == []
