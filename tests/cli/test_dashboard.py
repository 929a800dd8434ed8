"""``gapless dashboard`` and the page of ``gapless demo``: what they refuse, and, as processes, what they serve."""

import json
import re
import signal
import socket
import time
from collections.abc import Callable
from typing import Any, NoReturn
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import httpx
import pytest
import trio
from click.testing import CliRunner
from trio.testing import MockClock

from gapless.cli import main
from gapless.cli.page import Page
from gapless.cli.scene import GENERATED, Scene, Script
from gapless.cli.stage import Outcome, Screen, perform
from gapless.cli.story import CHAPTERS
from gapless.controller import Stream
from gapless.simulator.network import VirtualNetwork
from tests.cli.test_options import assert_refused, run
from tests.cli.test_processes import Process, exchange, started, wait

FEED = ("--ws-url", "ws://127.0.0.1:1/ws", "--rest-url", "http://127.0.0.1:1", "--stream", "ticker:BTC/USD")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "missing --ws-url, --rest-url, --stream; or --demo, which brings an exchange of its own"),
        (FEED[:4], "missing --stream; or --demo"),
        (("--demo", *FEED[:2]), "--demo brings an exchange of its own; it does not go with --ws-url"),
        (("--demo", *FEED[4:]), "it does not go with --stream"),
        (("--demo", "--port", "65536"), "65536 is not in the range"),
        (("--demo", "--candle", "0"), "0 is not in the range"),
        (
            ("--demo", "--public-url", "dash.example.com"),
            "public_url = 'dash.example.com' is not allowed: it is written",
        ),
        (("--demo", "--set", "nonsense=1"), "unknown setting 'nonsense'"),
        ((*FEED, "--set", "ws_idle_timeout=-1"), "ws_idle_timeout = -1.0 is not allowed"),
        ((*FEED, "--stream", "ticker"), "a stream is written CHANNEL:SYMBOL"),
        (("--ws-url", "http://x", *FEED[2:]), "ws_url = 'http://x' is not allowed"),
    ],
)
def test_dashboard_refuses_a_wrong_command_line(arguments: tuple[str, ...], says: str) -> None:
    assert_refused(run("dashboard", *arguments), code=2, says=says)


@pytest.mark.parametrize("arguments", [("--stay", "--headless"), ("--port", "0", "--json")])
def test_a_demo_without_a_page_has_no_use_for_its_options(arguments: tuple[str, ...]) -> None:
    assert_refused(run("demo", *arguments), code=2, says="--port and --stay are about the dashboard")


@pytest.mark.parametrize("command", [("dashboard", "--demo"), ("dashboard", *FEED), ("demo",)])
def test_a_port_in_use_is_one_line(command: tuple[str, ...]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = CliRunner().invoke(main, (*command, "--port", str(port)))
    says = f"cannot serve the dashboard at 127.0.0.1:{port}: Address already in use"
    assert_refused(result, code=1, says=says)


def test_a_host_of_another_machine_is_one_line() -> None:
    result = run("dashboard", "--demo", "--host", "192.0.2.1")
    assert_refused(result, code=1, says="cannot serve the dashboard at 192.0.2.1:0: Cannot assign requested address")


def test_the_title_names_what_is_traded() -> None:
    def titled(*symbols: str) -> str:
        return Page().picture([Stream("ticker", each) for each in symbols], "feed").whole(0.0).title

    assert titled("A", "B", "A") == "A, B"
    assert titled("A", "B", "C", "D", "E") == "A, B, C +2"
    assert Page().picture([Stream("orders", "*")], "feed").whole(0.0).title == "gapless"


def url_of(line: bytes) -> str:
    found = re.fullmatch(r"dashboard: (http://127\.0\.0\.1:\d+/)\n", line.decode())
    assert found is not None, line
    return found[1]


def read(url: str) -> Any:
    with urlopen(url) as reply:  # noqa: S310 (http to a process of ours)
        return json.load(reply)


def press(url: str, name: str) -> int:
    with urlopen(Request(f"{url}api/faults/{name}", method="POST")) as reply:  # noqa: S310 (alike)
        return int(reply.status)


def until_connected(url: str, moves: int) -> list[str]:
    """The states passed, when it is connected again after so many transitions or more."""
    shown: Any = {}
    for _ in range(200):
        shown = read(f"{url}api/picture")
        if shown["state"]["name"] == "CONNECTED" and len(shown["transitions"]) >= moves:
            return [each["after"] for each in shown["transitions"]]
        time.sleep(0.1)
    pytest.fail(f"not connected: {shown}")


def ends_at_once(process: Process, number: int) -> None:
    asked_at = time.monotonic()
    process.send_signal(number)
    code, _stderr = wait(process)
    assert code == 0
    assert time.monotonic() - asked_at < 5.0


def test_a_demo_page_can_be_broken_and_ends_at_a_signal_with_a_browser_that_never_reads() -> None:
    with started("dashboard", "--demo", "--set", "ws_idle_timeout=1") as process:
        assert process.stdout is not None
        url = url_of(process.stdout.readline())
        until_connected(url, 2)
        assert press(url, "disconnect") == 204
        assert until_connected(url, 6)[2:4] == ["REST_FALLBACK", "RECONNECTING"]
        assert "Disconnect" in {item["text"] for item in read(f"{url}api/picture")["items"] if item["kind"] == "fault"}
        host, port = url.removeprefix("http://").rstrip("/").split(":")
        with socket.create_connection((host, int(port))) as deaf:
            deaf.sendall(b"GET /events HTTP/1.1\r\nHost: %s:%s\r\n\r\n" % (host.encode(), port.encode()))
            time.sleep(0.5)
            ends_at_once(process, signal.SIGINT)


def test_a_real_feed_has_a_page_without_buttons() -> None:
    with exchange() as (_process, ready):
        urls = ("--ws-url", ready["ws_url"], "--rest-url", ready["rest_url"])
        with started("dashboard", *urls, "--stream", "ticker:BTC/USD", "--candle", "60") as process:
            assert process.stdout is not None
            url = url_of(process.stdout.readline())
            until_connected(url, 2)
            shown = read(f"{url}api/picture")
            assert (shown["mode"], shown["title"], shown["interval_s"]) == ("feed", "BTC/USD", 60)
            with pytest.raises(HTTPError, match="404"):
                read(f"{url}api/faults")
            ends_at_once(process, signal.SIGTERM)


def wall_clock() -> float:
    return 1_767_225_600.0 + trio.current_time()


async def until(is_there: Callable[[], object]) -> None:
    while not is_there():  # noqa: ASYNC110 (a list has no event)
        await trio.sleep(0.1)


async def play(screen: Screen) -> Outcome:
    async def show(_: Scene) -> NoReturn:
        await trio.sleep_forever()

    network = VirtualNetwork(seed=1)
    with network.installed():
        return await perform(Script(seconds=15.0), show=show, wall_clock=wall_clock, screen=screen)


async def test_the_demo_shows_its_story_on_a_page(autojump_clock: MockClock) -> None:
    urls: list[str] = []
    shown: list[Any] = []

    async def look() -> None:
        await until(lambda: urls)
        async with httpx.AsyncClient(base_url=urls[0], trust_env=False) as http:
            while True:
                shown.append((await http.get("/api/picture")).json())
                assert (await http.get("/api/faults")).status_code == 404
                await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        outcome = await play(Screen(page=Page(), announce=urls.append))
        nursery.cancel_scope.cancel()
    assert outcome.verdict.ok
    told = {item["text"] for item in shown[-1]["items"] if item["kind"] == "fault"}
    assert told >= {f"the exchange {chapter.what}" for chapter in CHAPTERS}
    assert {row["symbol"] for row in shown[-1]["streams"]} == {stream.symbol for stream in GENERATED}


async def test_a_demo_that_stays_is_checked_first_and_has_its_buttons_then(autojump_clock: MockClock) -> None:
    urls: list[str] = []
    outcomes: list[Outcome] = []

    async def use() -> None:
        await until(lambda: urls)
        async with httpx.AsyncClient(base_url=urls[0], trust_env=False) as http:
            early = await http.post("/api/faults/silent")
            assert (early.status_code, "tells its story first" in early.text) == (409, True)
            await until(lambda: outcomes)
            before = (await http.get("/api/picture")).json()
            assert (await http.post("/api/faults/silent")).status_code == 204
            await trio.sleep(12)
            after = (await http.get("/api/picture")).json()
        moves = after["transitions"][len(before["transitions"]) :]
        assert (moves[0]["after"], moves[-1]["after"]) == ("SILENT", "CONNECTED")
        assert after["streams"][0]["live"] > before["streams"][0]["live"], "the market is closed"

    async with trio.open_nursery() as nursery:
        nursery.start_soon(play, Screen(page=Page(), announce=urls.append, stay=outcomes.append))
        await use()
        nursery.cancel_scope.cancel()
    assert [outcome.verdict.ok for outcome in outcomes] == [True]
