"""Failures and restarts over the control API."""

import httpx
import pytest
import trio
from trio.testing import MockClock

from tests.simulator.conftest import BTC, error_of, served


async def test_failures_are_set_and_read_over_the_control_api(autojump_clock: MockClock) -> None:
    async with served() as world, world.rest() as rest:
        mode = {"enabled": True, "after_messages": 3, "count": None, "duration_s": None}
        url = "/api/v1/simulator/failures"
        reply = await rest.put(url, json={"silent_connection": mode})
        assert reply.status_code == 200
        assert reply.json()["silent_connection"] == mode
        assert (await rest.get(url)).json() == reply.json()
        assert set((await rest.get(url)).json()) >= {"silent_connection", "drop", "rate_limited", "restart"}


async def test_failures_of_one_session_are_its_own(autojump_clock: MockClock) -> None:
    async with served() as world, world.rest() as rest:
        url = "/api/v1/simulator/sessions/{}/failures"
        await rest.put(url.format("alice"), json={"pong_only": {"enabled": True}})
        assert (await rest.get(url.format("alice"))).json()["pong_only"]["enabled"] is True
        assert (await rest.get(url.format("bob"))).json()["pong_only"] is None
        assert (await rest.get("/api/v1/simulator/failures")).json()["pong_only"] is None
        await rest.put(url.format("alice"), json={})
        assert (await rest.get(url.format("alice"))).json()["pong_only"] is None
        strange = "a/b ?%"
        await rest.put(url.format("a%2Fb%20%3F%25"), json={"pong_only": {"enabled": True}})
        assert world.exchange.failures.get(strange).pong_only is not None


async def test_what_is_put_takes_effect_on_an_open_connection_of_its_session_alone(autojump_clock: MockClock) -> None:
    async with served() as world, world.rest() as rest, world.welcomed("a") as client, world.welcomed("b") as other:
        for each in (client, other):
            await each.subscribe(BTC)
        world.publish(1)
        assert [await client.ids(1), await other.ids(1)] == [[1], [1]]
        url = "/api/v1/simulator/sessions/a/failures"
        await rest.put(url, json={"drop": {"enabled": True, "ids": [2]}, "duplicate": {"enabled": True, "ids": [3]}})
        world.publish(2)
        assert [await client.ids(2), await other.ids(2)] == [[3, 3], [2, 3]]
        await rest.put(url, json={"disconnect": {"enabled": True, "after_messages": 1}})
        world.publish(1)
        assert await client.is_dropped()
        assert await other.ids(1) == [4]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "Input data was truncated"),
        (b"{", "Input data was truncated"),
        (b"[]", "Expected 'object', got 'array'"),
        (b'{"silence":{}}', "unknown field 'silence'"),
        (b'{"drop":{"enabled":true}}', "expected one of probability, ids or every_nth"),
        (b'{"drop":{"enabled":true,"probability":2}}', "<= 1.0 - at '$.drop.probability'"),
        (b'{"drop":{"enabled":"yes","probability":1}}', "Expected 'bool', got 'str' - at '$.drop.enabled'"),
        (b'{"drop":{"after_messages":1}}', "unknown field 'after_messages' - at '$.drop'"),
        (b'{"refuse":{"how":"rudely"}}', "Invalid enum value 'rudely' - at '$.refuse.how'"),
        (b'{"x":' + b"[" * 50_000, "recursion depth exceeded"),
    ],
)
async def test_bad_failures_are_refused_with_what_is_wrong(autojump_clock: MockClock, body: bytes, says: str) -> None:
    async with served() as world, world.rest() as rest:
        await rest.put("/api/v1/simulator/failures", json={"pong_only": {"enabled": True}})
        reply = await rest.put("/api/v1/simulator/failures", content=body)
        assert (reply.status_code, error_of(reply)) == (400, "bad_failures")
        assert says in reply.json()["error"]["message"]
        assert world.exchange.failures.get().pong_only is not None


async def test_a_restart_over_the_control_api(autojump_clock: MockClock) -> None:
    async with served() as world, world.rest() as rest, world.welcomed() as client:
        left = world.exchange.epoch
        reply = await rest.post("/api/v1/simulator/restart")
        assert reply.json() == {"epoch": world.exchange.epoch, "downtime_s": 0.0}
        assert world.exchange.epoch != left
        assert await client.is_dropped()
        reply = await rest.post("/api/v1/simulator/restart", json={"downtime_s": 2.0})
        assert reply.status_code == 200
        with pytest.raises(httpx.ConnectError):
            await rest.get("/api/v1/orders")
        await trio.sleep(2.1)
        assert (await rest.get("/api/v1/orders")).status_code == 200
        reply = await rest.post("/api/v1/simulator/restart", json={"downtime_s": -1})
        assert (reply.status_code, error_of(reply)) == (400, "bad_restart")
