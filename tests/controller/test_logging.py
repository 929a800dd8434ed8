"""Logging: silent for an embedding app until it asks, complete when it does, and without secrets."""

from collections.abc import Iterator

import pytest
import trio
from loguru import logger
from trio.testing import MockClock

from gapless.controller import State, Stream, open_controller
from gapless.simulator import FailureMode, FailuresConfig
from gapless.simulator.failure_modes import RateLimitMode, SelectMode, ServerErrorMode
from gapless.simulator.network import Direction
from tests.kit import Feed, world


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What a sink of the app's own receives."""
    collected: list[str] = []
    sink = logger.add(lambda message: collected.append(str(message)), level="DEBUG", format="{name} {message}")
    yield collected
    logger.remove(sink)
    logger.disable("gapless")


async def eventful(feed: Feed) -> None:
    await feed.until_state(State.CONNECTED)
    await trio.sleep(90)


async def test_silent_unless_asked(autojump_clock: MockClock, lines: list[str]) -> None:
    async with world() as w, w.feed() as feed:
        w.fail(FailuresConfig(drop=SelectMode(enabled=True, ids=(50,))))
        await eventful(feed)
    assert lines == []


async def test_everything_that_matters_is_logged_when_asked(autojump_clock: MockClock, lines: list[str]) -> None:
    logger.enable("gapless")
    async with world() as w, w.feed() as feed:
        w.fail(
            FailuresConfig(
                drop=SelectMode(enabled=True, ids=(50,)),
                rate_limited=RateLimitMode(enabled=True, count=1, retry_after_s=1),
            )
        )
        await eventful(feed)
        w.fail(FailuresConfig(silent_connection=FailureMode(enabled=True, after_messages=1, count=1)))
        await trio.sleep(60)
    text = "".join(lines)
    for expected in (
        "attempt of generation 1",
        "connected, generation 1",
        "subscribed, generation 1",
        "PING p-1",
        "PONG p-1 after",
        "gap 50..50 (sequence_jump)",
        "filled 50..50, 1 ids (rest)",
        "REST GET /api/v1/prices",
        "HTTP 429, everyone pauses 1.00 s",
        "RESYNCING -> CONNECTED by RESYNCED",
        "the silence is dead: REST has moved on",
        "connected, generation 2",
    ):
        assert expected in text, expected


async def test_what_goes_wrong_is_logged_with_its_reason(autojump_clock: MockClock, lines: list[str]) -> None:
    """A lost connection, a PING that nobody answers, a request with its parameters, and its retries."""
    logger.enable("gapless")
    broken = FailuresConfig(
        drop=SelectMode(enabled=True, ids=(50,)), server_error=ServerErrorMode(enabled=True, count=2, status=502)
    )
    async with world() as w, w.feed(heartbeat_interval=3.0, heartbeat_timeout=1.0) as feed:
        await feed.until_state(State.CONNECTED)
        w.fail(broken)
        await trio.sleep(10.0)
        w.exchange.disconnect()
        await trio.sleep(3.0)
        await feed.until_state(State.CONNECTED)
        w.network.black_hole(Direction.TO_CLIENT)
        await trio.sleep(6.0)
    text = "".join(lines)
    for expected in (
        "link of generation 1 lost: reset or closed without a goodbye",
        "start_seq=50&end_seq=50",
        "HTTP 502; retry 1 of 3 in 1.00 s",
        "HTTP 502; retry 2 of 3 in 2.00 s",
        "HTTP 200,",
        "a PING was not answered within 1.0 s, and nothing came since",
        "CONNECTED -> SILENT by PONG_OVERDUE",
    ):
        assert expected in text, expected


async def test_no_secret_of_a_url_or_header_is_logged(autojump_clock: MockClock, lines: list[str]) -> None:
    logger.enable("gapless")
    async with world() as w:
        ws_url = f"{w.ws_url}?token=hunter2"
        streams = [Stream("ticker", "BTC/USD")]
        async with open_controller(
            ws_url=ws_url, rest_url=w.rest_url, streams=streams, session_id="s3cret"
        ) as controller:
            await controller.wait_for(State.CONNECTED)
            w.network.refuse(w.ws_port)
            w.exchange.disconnect()
            await trio.sleep(30)
    ours = [line for line in lines if line.startswith("gapless.controller")]
    assert ours
    assert not [line for line in ours if "hunter2" in line or "s3cret" in line]
