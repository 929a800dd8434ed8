"""One host, one httpx client for all controllers of a trio run, closed by the last of them."""

import httpx
import pytest
import trio
from trio.testing import MockClock

from gapless.controller import ConfigurationError, NetworkConfig, State, Stream, host_clients, open_controller
from gapless.simulator import FailuresConfig, RefuseMode
from tests.kit import TICKER, World, world

HOST, OTHER = "api.example:443", "api.example:444"


def closed(client: httpx.AsyncClient) -> bool:
    return client.is_closed


async def test_all_of_one_host_get_the_same_client_until_the_last_has_left() -> None:
    first, second = host_clients.join(HOST), host_clients.join(HOST)
    assert first is second
    other = host_clients.join(OTHER)
    assert other is not first
    await host_clients.leave(HOST)
    assert not closed(first)
    await host_clients.leave(HOST)
    assert closed(first)
    assert not closed(other)
    again = host_clients.join(HOST)
    assert not closed(again)
    await host_clients.leave(HOST)
    await host_clients.leave(OTHER)


async def test_a_hosts_cookies_do_not_pile_up() -> None:
    client = host_clients.join(HOST)
    request = httpx.Request("GET", f"https://{HOST}/api")
    client.cookies.extract_cookies(httpx.Response(200, headers={"set-cookie": "visit=1"}, request=request))
    assert not list(client.cookies.jar)
    await host_clients.leave(HOST)


def test_two_runs_share_nothing() -> None:
    """A client belongs to the event loop its connections were opened in."""

    async def run() -> httpx.AsyncClient:
        client = host_clients.join(HOST)
        await host_clients.leave(HOST)
        return client

    assert trio.run(run) is not trio.run(run)


# -- controllers ------------------------------------------------------------------------------------------------------


def rest_connections(w: World) -> int:
    return sum(each.server_address[1] == w.rest_port for each in w.network.connections)


async def test_controllers_that_poll_share_connections_and_one_that_leaves_takes_none_along(
    autojump_clock: MockClock,
) -> None:
    async with world(failures=FailuresConfig(refuse=RefuseMode(enabled=True))) as w:
        w.fail(FailuresConfig(refuse=RefuseMode(enabled=True)), None)
        async with w.feed(session_id="stays", reconnect_max_attempts=None) as feed:
            await trio.sleep(0.5)
            async with w.feed(session_id="leaves", reconnect_max_attempts=None):
                await trio.sleep(10.0)
                assert rest_connections(w) == 1, "their requests do not overlap"
            await trio.sleep(10.0)
            before = len(feed.data)
            await trio.sleep(10.0)
            assert feed.controller.state is not State.CONNECTED
            assert len(feed.data) >= before + 50, "it still collects"
        await trio.sleep(0.1)
        assert rest_connections(w) == 0


async def test_a_client_of_the_app_stays_open(autojump_clock: MockClock) -> None:
    async with world() as w, httpx.AsyncClient(trust_env=False) as mine:
        for _ in range(2):
            async with open_controller(
                ws_url=w.ws_url, rest_url=w.rest_url, streams=[TICKER], session_id="x", http=mine
            ) as controller:
                await controller.wait_for(State.CONNECTED)
            assert not mine.is_closed


async def test_a_controller_that_cannot_be_made_leaves_nothing(autojump_clock: MockClock) -> None:
    async with world() as w:
        with pytest.raises(ConfigurationError):
            async with open_controller(
                ws_url=w.ws_url, rest_url=w.rest_url, streams=[Stream("orders", "BTC/USD")], config=NetworkConfig()
            ):
                raise AssertionError
        async with w.feed() as feed:
            await feed.until_state(State.CONNECTED)
