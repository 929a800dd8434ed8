"""Every attempt to open a WebSocket leaves a record of what became of it."""

import pytest
import trio
from trio.testing import MockClock

from gapless.simulator import FailuresConfig, HandshakeRecord, Mode, RefuseMode
from gapless.simulator.records import HANDSHAKES_MAX, handshake_log
from tests.simulator.conftest import HANDSHAKE, WALL_BEGIN_S, World, ended, served


def told(world: World) -> list[tuple[str, str, int | None, int | None]]:
    return [(each.session_id, each.outcome, each.status, each.retry_after_s) for each in world.exchange.handshakes]


@pytest.mark.parametrize(("how", "status"), [("http_503", 503), ("http_429", 429)])
@pytest.mark.parametrize("retry_after_s", [7, None])
async def test_one_that_is_refused_with_a_status(
    how: str, status: int, retry_after_s: int | None, autojump_clock: MockClock
) -> None:
    mode = RefuseMode(enabled=True, how=how, retry_after_s=retry_after_s, count=1)  # type: ignore[arg-type]
    async with served(failures=FailuresConfig(refuse=mode)) as world:
        await trio.sleep(2)
        rejected = await world.rejection()
        assert rejected.status_code == status
        assert dict(rejected.headers).get(b"retry-after") == (None if retry_after_s is None else b"7")
        async with world.welcomed():
            pass
        assert told(world) == [("a", "rejected", status, retry_after_s), ("a", "accepted", 101, None)]
        assert [round(each.time_s - WALL_BEGIN_S, 1) for each in world.exchange.handshakes] == [2.0, 2.0]


async def test_one_that_is_dropped_unanswered_or_left_to_wait(autojump_clock: MockClock) -> None:
    config = FailuresConfig(refuse=RefuseMode(enabled=True, count=1), stalled_handshake=Mode(enabled=True, count=1))
    async with served(failures=config) as world:
        for _ in range(2):
            async with world.tcp(world.endpoints.ws_url) as stream:
                await stream.send_all(HANDSHAKE)
                with trio.move_on_after(30):
                    await stream.receive_some()
        assert told(world) == [("a", "refused", None, None), ("a", "stalled", None, None)]


async def test_one_that_asks_for_what_there_is_not(autojump_clock: MockClock) -> None:
    async with served() as world:
        await world.rejection(target="/feed?session_id=a")
        await world.rejection("x" * 200)
        assert told(world) == [("a", "rejected", 404, None), ("x" * 128, "rejected", 400, None)]


async def test_one_too_many(autojump_clock: MockClock) -> None:
    async with served(sessions_max=1) as world, world.welcomed():
        async with world.tcp(world.endpoints.ws_url) as stream:
            await stream.send_all(HANDSHAKE)
            assert await ended(stream)
        assert told(world) == [("a", "accepted", 101, None), ("", "refused", None, None)]


async def test_what_is_no_handshake_leaves_no_record(autojump_clock: MockClock) -> None:
    async with served(handshake_timeout_s=1.0) as world:
        for sent in (b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\xff\xff\xff\r\n\r\n"):
            async with world.tcp(world.endpoints.ws_url) as stream:
                if sent:
                    await stream.send_all(sent)
                await trio.sleep(2)
        assert told(world) == []


def test_the_log_is_bounded() -> None:
    log = handshake_log()
    for number in range(HANDSHAKES_MAX + 5):
        log.append(HandshakeRecord(time_s=float(number), session_id="a", outcome="accepted", status=101))
    assert (len(log), log[0].time_s) == (HANDSHAKES_MAX, 5.0)
