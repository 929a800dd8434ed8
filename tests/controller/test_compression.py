"""Compressed history, end to end: asked for, answered, counted; and what a hostile server makes of it."""

import gzip
import subprocess
import sys
from typing import Literal

import httpx
import pytest
import trio
from trio.testing import MockClock

from gapless.controller import Metrics, NetworkConfig, RequestFailedError, State, Stream, open_controller
from gapless.simulator import FailuresConfig, SelectMode, SettingsError, SimulatorConfig
from gapless.simulator.testkit import open_world

Form = Literal["off", "gzip", "zstd"]
PAGE = 1_000


async def read_a_page(form: Form, *, asked: bool) -> Metrics:
    config = SimulatorConfig(channels=("ticker",), rate_per_s=100.0, compression=form, record=True)
    async with open_world(config=config) as world, world.feed(rest_compression=asked) as feed:
        await feed.until_state(State.CONNECTED)
        await trio.sleep(PAGE / 100.0)
        rows = await feed.controller.price_history("BTC/USD", limit=PAGE)
        assert len(rows) == PAGE
        return feed.controller.metrics()


@pytest.mark.parametrize("form", ["gzip", "zstd"])
async def test_a_page_takes_a_fifth_of_its_size_on_the_wire(form: Form, autojump_clock: MockClock) -> None:
    rest = (await read_a_page(form, asked=True)).rest
    assert rest.bytes_read > 100_000
    assert rest.bytes_received < 0.2 * rest.bytes_read


@pytest.mark.parametrize(("form", "asked"), [("gzip", False), ("zstd", False), ("off", True)])
async def test_where_either_side_does_not_want_it_nothing_is_compressed(
    form: Form, asked: bool, autojump_clock: MockClock
) -> None:
    rest = (await read_a_page(form, asked=asked)).rest
    assert rest.bytes_received == rest.bytes_read


@pytest.mark.parametrize(("wanted", "said"), [(True, "gzip, deflate, zstd"), (False, "identity")])
async def test_requests_say_what_is_welcome(wanted: bool, said: str, autojump_clock: MockClock) -> None:
    """To say nothing would mean: anything."""
    heard: set[str | None] = set()

    async def answer(request: httpx.Request) -> httpx.Response:
        heard.add(request.headers.get("accept-encoding"))
        return httpx.Response(404)

    async with (
        open_world() as world,
        httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http,
        open_controller(
            ws_url=world.ws_url,
            rest_url=world.rest_url,
            streams=[Stream("ticker", "BTC/USD")],
            config=NetworkConfig(rest_compression=wanted),
            http=http,
        ) as controller,
    ):
        with pytest.raises(RequestFailedError):
            await controller.price_history("BTC/USD")
    assert heard == {said}


@pytest.mark.parametrize("form", ["off", "gzip"])
async def test_a_client_whose_hook_reads_the_reply_is_no_obstacle(form: Form, autojump_clock: MockClock) -> None:
    """Apps log replies that way."""

    async def read(response: httpx.Response) -> None:
        await response.aread()

    config = SimulatorConfig(channels=("ticker",), rate_per_s=50.0, compression=form)
    async with (
        open_world(config=config) as world,
        httpx.AsyncClient(event_hooks={"response": [read]}, trust_env=False) as http,
        open_controller(
            ws_url=world.ws_url, rest_url=world.rest_url, streams=[Stream("ticker", "BTC/USD")], http=http
        ) as controller,
    ):
        await controller.wait_for(State.CONNECTED)
        await trio.sleep(10)
        assert len(await controller.price_history("BTC/USD", limit=100)) == 100


@pytest.mark.parametrize("form", ["gzip", "zstd"])
async def test_gaps_are_filled_from_compressed_pages(form: Form, autojump_clock: MockClock) -> None:
    config = SimulatorConfig(channels=("ticker",), rate_per_s=50.0, compression=form, record=True)
    async with open_world(config=config) as world, world.feed() as feed:
        await feed.until_state(State.CONNECTED)
        world.fail(FailuresConfig(drop=SelectMode(enabled=True, probability=0.3)))
        await trio.sleep(20)
        world.fail(FailuresConfig())
        world.network.reset(world.ws_port)
        await feed.until_whole()
        feed.assert_contract(settled=False)
        figures = feed.controller.metrics()
        assert figures.data.backfilled > 100
        assert figures.rest.bytes_received < figures.rest.bytes_read


def hostile(body: bytes, encoding: str) -> httpx.AsyncClient:
    async def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-encoding": encoding}, stream=httpx.ByteStream(body))

    return httpx.AsyncClient(transport=httpx.MockTransport(answer))


@pytest.mark.parametrize(
    ("body", "encoding", "says"),
    [
        (gzip.compress(bytes(50_000_000)), "gzip", "larger than 100000 bytes"),
        (b"\x1f\x8bno gzip", "gzip", "cannot be decompressed"),
        (b"whatever", "br", "cannot be decompressed: expected one of gzip, deflate, zstd, got Content-Encoding 'br'"),
    ],
)
async def test_a_hostile_reply_is_a_failed_request(
    body: bytes, encoding: str, says: str, autojump_clock: MockClock
) -> None:
    config = NetworkConfig(reply_size_max=100_000, max_retries=0)
    async with (
        open_world() as world,
        hostile(body, encoding) as http,
        open_controller(
            ws_url=world.ws_url,
            rest_url=world.rest_url,
            streams=[Stream("ticker", "BTC/USD")],
            config=config,
            http=http,
        ) as controller,
    ):
        with pytest.raises(RequestFailedError, match=says):
            await controller.price_history("BTC/USD")
        assert controller.rest_stats.failed >= 1


def test_without_its_package_zstd_is_neither_asked_for_nor_served() -> None:
    code = (
        "import sys; sys.modules['zstandard'] = None\n"
        "from gapless.controller.bodies import ACCEPTED\n"
        "from gapless.simulator import SettingsError, SimulatorConfig\n"
        "assert ACCEPTED == 'gzip, deflate'\n"
        "SimulatorConfig(compression='gzip')\n"
        "try:\n    SimulatorConfig(compression='zstd')\n"
        "except SettingsError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "zstandard is not installed" in done.stdout


def test_a_form_that_does_not_exist_is_refused() -> None:
    with pytest.raises(SettingsError, match="compression"):
        SimulatorConfig(compression="br")  # type: ignore[arg-type]
