"""REST failures: that they happen as said, are counted, and end as said."""

import httpx
import trio
from trio.testing import MockClock

from gapless.simulator import FailuresConfig, RateLimitMode, ServerErrorMode
from tests.simulator.conftest import served

ORDERS = "/api/v1/orders"


async def statuses(rest: httpx.AsyncClient, count: int, path: str = ORDERS) -> list[int]:
    return [(await rest.get(path)).status_code for _ in range(count)]


async def test_429_for_the_next_requests(autojump_clock: MockClock) -> None:
    mode = RateLimitMode(enabled=True, count=2, retry_after_s=3)
    async with served(failures=FailuresConfig(rate_limited=mode)) as world, world.rest() as rest:
        reply = await rest.get(ORDERS)
        assert (reply.status_code, reply.headers["retry-after"]) == (429, "3")
        assert reply.json()["error"]["code"] == "rate_limited"
        assert await statuses(rest, 3) == [429, 200, 200]
        assert world.exchange.injected == {"rate_limited": 2}
        assert [record.status for record in world.exchange.requests] == [429, 429, 200, 200]


async def test_418_is_a_ban(autojump_clock: MockClock) -> None:
    mode = RateLimitMode(enabled=True, status=418, count=1, retry_after_s=120)
    async with served(failures=FailuresConfig(rate_limited=mode)) as world, world.rest() as rest:
        reply = await rest.get(ORDERS)
        assert (reply.status_code, reply.headers["retry-after"]) == (418, "120")
        assert reply.json()["error"]["code"] == "banned"
        assert await statuses(rest, 1) == [200]
        assert world.exchange.injected == {"rate_limited": 1}


async def test_429_for_a_while(autojump_clock: MockClock) -> None:
    mode = RateLimitMode(enabled=True, duration_s=5.0, retry_after_s=None)
    async with served(failures=FailuresConfig(rate_limited=mode)) as world, world.rest() as rest:
        reply = await rest.get(ORDERS)
        assert reply.status_code == 429
        assert "retry-after" not in reply.headers
        await trio.sleep(5)
        assert await statuses(rest, 1) == [200]


async def test_429_beyond_a_rate_for_each_session(autojump_clock: MockClock) -> None:
    mode = RateLimitMode(enabled=True, rate_limit_per_s=3)
    config = FailuresConfig(rate_limited=mode)
    async with served(failures=config) as world, world.rest("a") as rest, world.rest("b") as other:
        assert await statuses(rest, 5) == [200, 200, 200, 429, 429]
        assert await statuses(other, 1) == [200]
        reply = await rest.get(ORDERS)
        await trio.sleep(int(reply.headers["retry-after"]))
        assert await statuses(rest, 4) == [200, 200, 200, 429]


async def test_5xx(autojump_clock: MockClock) -> None:
    mode = ServerErrorMode(enabled=True, status=502, count=1)
    async with served(failures=FailuresConfig(server_error=mode)) as world, world.rest() as rest:
        reply = await rest.get(ORDERS)
        assert (reply.status_code, reply.json()["error"]["code"]) == (502, "server_error")
        assert await statuses(rest, 1) == [200]
        assert world.exchange.injected == {"server_error": 1}


async def test_5xx_now_and_then(autojump_clock: MockClock) -> None:
    mode = ServerErrorMode(enabled=True, probability=0.5)
    async with served(failures=FailuresConfig(server_error=mode)) as world, world.rest() as rest:
        seen = await statuses(rest, 40)
        assert 10 <= seen.count(503) <= 30


async def test_rest_failures_may_concern_some_paths(autojump_clock: MockClock) -> None:
    mode = ServerErrorMode(enabled=True, paths=(ORDERS,))
    async with served(failures=FailuresConfig(server_error=mode)) as world, world.rest() as rest:
        assert await statuses(rest, 1) == [503]
        assert await statuses(rest, 1, "/api/v1/balance") == [200]


async def test_the_control_api_never_fails(autojump_clock: MockClock) -> None:
    config = FailuresConfig(server_error=ServerErrorMode(enabled=True), rate_limited=RateLimitMode(enabled=True))
    async with served(failures=config) as world, world.rest() as rest:
        assert await statuses(rest, 1) == [429]
        assert (await rest.put("/api/v1/simulator/failures", json={})).status_code == 200
        assert await statuses(rest, 1) == [200]


async def test_setting_a_failure_again_starts_it_anew(autojump_clock: MockClock) -> None:
    config = FailuresConfig(rate_limited=RateLimitMode(enabled=True, count=1))
    async with served(failures=config) as world, world.rest() as rest:
        assert await statuses(rest, 2) == [429, 200]
        world.exchange.failures.set(config)
        assert await statuses(rest, 2) == [429, 200]
