"""Failures of REST and of the whole, on top of Kraken and Deribit."""

import httpx
import pytest
import trio
from trio.testing import MockClock

from gapless.simulator import (
    EvictedMode,
    RateLimitMode,
    RestartMode,
    RestMode,
    ServerErrorMode,
    SlowReplyMode,
    StaleReplyMode,
    WrongReplyMode,
)
from gapless.simulator.rest_garble import WRONG_REPLIES
from tests.venues.batching_kit import (
    KRAKEN,
    Tongue,
    both,
    fail,
    ids,
    issued,
    kraken,
    listening,
    rows,
    said,
    subscribed,
)
from tests.venues.simulator_kit import simulated

# --- over REST ------------------------------------------------------------------------------------------------------


@both
async def test_injected_errors_have_the_venues_form(autojump_clock: MockClock, tongue: Tongue) -> None:
    async with simulated(tongue.venue()) as world:
        fail(world, rate_limited=RateLimitMode(enabled=True, retry_after_s=9, count=1))
        limited = await world.client.get(tongue.history)
        assert (limited.status_code, limited.json()) == tongue.limited
        fail(world, server_error=ServerErrorMode(enabled=True, status=502))
        failed = await world.client.get(tongue.history)
        assert (failed.status_code, failed.json()) == (502, tongue.failed)
        assert [each.status for each in world.venue.weight_log] == [200, 200], "it was no limit of the venue's"
        assert not world.venue.violations


async def test_a_ban_of_kraken_is_a_lockout(autojump_clock: MockClock) -> None:
    async with simulated(kraken()) as world:
        fail(world, rate_limited=RateLimitMode(enabled=True, status=418))
        reply = await world.client.get(KRAKEN.history)
        assert (reply.status_code, reply.json()) == (200, {"error": ["EGeneral:Temporary lockout"]})


@both
async def test_a_stale_reply_ends_so_many_trades_ago(autojump_clock: MockClock, tongue: Tongue) -> None:
    async with simulated(tongue.venue()) as world:
        world.publish(10, tongue.symbols[0])
        fail(world, stale_reply=StaleReplyMode(enabled=True, behind=4, count=1))
        assert await rows(world, tongue) == issued(world, tongue)[:-4]
        assert await rows(world, tongue) == issued(world, tongue)
        fail(world, stale_reply=StaleReplyMode(enabled=True, behind=40))
        assert await rows(world, tongue) == []


async def test_the_cursor_of_a_stale_page_stays_behind_with_it(autojump_clock: MockClock) -> None:
    async with simulated(kraken()) as world:
        world.publish(10, "BTC/USD")
        fail(world, stale_reply=StaleReplyMode(enabled=True, behind=4, count=1))
        stale = (await world.client.get(KRAKEN.history)).json()["result"]
        assert stale["last"] == str(world.venue.trades("BTC/USD")[5].time_ns)
        more = await world.client.get(KRAKEN.history, params={"pair": "XBTUSD", "since": stale["last"]})
        assert KRAKEN.rows(more.json()) == issued(world, KRAKEN)[6:]


@both
async def test_an_evicted_history_shows_the_last_alone(autojump_clock: MockClock, tongue: Tongue) -> None:
    async with simulated(tongue.venue()) as world:
        world.publish(10, tongue.symbols[0])
        fail(world, evicted_history=EvictedMode(enabled=True, keep=3))
        assert await rows(world, tongue) == issued(world, tongue)[-3:]


@both
@pytest.mark.parametrize("how", WRONG_REPLIES)
async def test_a_wrong_reply_could_never_be_a_page(autojump_clock: MockClock, tongue: Tongue, how: str) -> None:
    async with simulated(tongue.venue()) as world:
        world.publish(1, tongue.symbols[0])
        fail(world, wrong_reply=WrongReplyMode(enabled=True, how=(how,)))  # type: ignore[arg-type]
        reply = await world.client.get(tongue.history)
        assert (reply.status_code, reply.text) == (200, world.venue.rest_form.wrong[how])
        try:
            found = tongue.rows(reply.json())
        except (ValueError, KeyError, TypeError, IndexError):
            return
        assert not all(isinstance(number, int) for number in found)
        assert found, "an empty page could be true"


@both
async def test_a_cut_and_a_slow_reply(autojump_clock: MockClock, tongue: Tongue) -> None:
    async with simulated(tongue.venue()) as world:
        world.publish(3, tongue.symbols[0])
        fail(world, cut_reply=RestMode(enabled=True, count=1), slow_reply=SlowReplyMode(enabled=True, delay_s=2.0))
        begin = trio.current_time()
        with pytest.raises(httpx.RemoteProtocolError):
            await rows(world, tongue)
        assert await rows(world, tongue) == issued(world, tongue)
        assert trio.current_time() - begin == pytest.approx(4.0, abs=0.2)


# --- of the whole ---------------------------------------------------------------------------------------------------


@both
async def test_a_restart_drops_all_and_numbers_go_on(autojump_clock: MockClock, tongue: Tongue) -> None:
    async with listening(tongue) as (world, client):
        world.publish(2, tongue.symbols[0])
        world.venue.restart(downtime_s=10.0)
        assert await client.is_dropped()
        world.publish(1, tongue.symbols[0])
        await trio.sleep(10.1)
        async with world.dial() as again:
            await subscribed(tongue, again)
            await said(world, tongue.symbols[0])
            assert await ids(tongue, again, 1) == [3, 4, 5], "what waited for the dead socket is not said to this one"
        assert [number - issued(world, tongue)[0] for number in await rows(world, tongue)] == list(range(6))


@both
async def test_a_restart_by_the_clock(autojump_clock: MockClock, tongue: Tongue) -> None:
    async with listening(tongue) as (world, _client):
        fail(world, restart=RestartMode(enabled=True, after_s=5.0))
        await trio.sleep(4.9)
        assert world.venue.hub.sessions
        await trio.sleep(0.2)
        assert not world.venue.hub.sessions
