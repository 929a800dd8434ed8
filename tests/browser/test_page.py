"""The page in a real browser. Real sockets and real time: a browser knows no other."""

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Open
from tests.browser.program import Wanted
from tests.browser.served import PATIENCE_S, served

pytestmark = pytest.mark.browser
WAIT_MS = PATIENCE_S * 1_000
SCRIPT = "<svg/onload=document.title='owned'>"
QUOTES = "\"><script>document.title='owned'</script>"


def until(page: Page, condition: str, argument: object = None) -> None:
    page.wait_for_function(condition, arg=argument, timeout=WAIT_MS)


def until_connected(page: Page) -> None:
    until(page, "() => window.gaplessPage?.state === 'CONNECTED' && window.gaplessPage.connected")


def candles(page: Page, symbol: str) -> list[dict[str, Any]]:
    bars: list[dict[str, Any]] = page.evaluate("symbol => window.gaplessPage.candles(symbol)", symbol)
    return bars


@pytest.fixture
def trying_page(browser: Browser) -> Iterator[Page]:
    """A page for what goes wrong: the browser itself says in its console which requests were refused."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


def asked(page: Page, module: str, call: str, *arguments: object) -> Any:
    """What a function of the page's own modules answers."""
    program = f"async given => (await import('/static/{module}')).{call}(...given)"
    return page.evaluate(program, list(arguments))


def hide(page: Page, *, hidden: bool) -> None:
    """Another tab is in front, or this one again: a headless browser has all of them in front."""
    page.evaluate(
        """hidden => {
          Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def press(page: Page, name: str) -> None:
    page.locator(f"#fault-buttons button[data-fault={name}]").click()


def test_the_page_shows_a_feed_and_asks_nothing_of_anybody_else(open_page: Open) -> None:
    with served() as server:
        page = open_page(server.url)
        until_connected(page)
        expect(page.locator("#state-badge")).to_have_text("CONNECTED", timeout=WAIT_MS)
        expect(page.locator("#wholeness")).to_contain_text("Whole", timeout=WAIT_MS)
        until(page, "() => window.gaplessPage.candles('BTC/USD').length > 0")
        expect(page.locator("#chart canvas").first).to_be_visible()
        expect(page.locator("#diagram svg")).to_be_visible()
        expect(page.locator("#streams tbody tr")).to_have_count(4)
        expect(page.locator("#orders tbody tr").first).to_be_visible(timeout=WAIT_MS)
        expect(page.locator("#balances tbody tr").first).to_be_visible(timeout=WAIT_MS)
        expect(page.locator(".attribution")).to_contain_text("TradingView")
        expect(page).to_have_title(re.compile(r"^CONNECTED: Whole.* gapless$"))


def test_backfilled_points_enter_past_candles(open_page: Open) -> None:
    """What was dropped is filled in over REST, and the bars of that time say so."""
    with served(Wanted(rate_per_s=20.0)) as server:
        page = open_page(server.url)
        until_connected(page)
        until(page, "() => window.gaplessPage.candles('BTC/USD').length > 1")
        press(page, "drop")
        until(page, "() => window.gaplessPage.candles('BTC/USD').some(bar => bar.over_rest > 0)")
        picture = server.until_whole()
        until(page, "revision => window.gaplessPage.revision >= revision", picture["revision"])
        bars = {bar["t"]: bar for bar in candles(page, "BTC/USD")}
        filled = [bar for bar in bars.values() if bar["over_rest"]]
        assert filled
        assert all(bar["l"] <= min(bar["o"], bar["c"]) <= max(bar["o"], bar["c"]) <= bar["h"] for bar in bars.values())
        row = next(each for each in picture["streams"] if each["symbol"] == "BTC/USD")
        assert row["backfilled"] > 0
        assert row["lost_ids"] == 0


def test_a_page_opened_late_sees_what_was_before(open_page: Open) -> None:
    with served() as server:
        early = open_page(server.url)
        until_connected(early)
        press(early, "disconnect")
        server.until(lambda picture: picture["state"]["generation"] == 2, "in generation 2")
        picture = server.until_whole()
        late = open_page(server.url)
        until_connected(late)
        until(late, "revision => window.gaplessPage.revision >= revision", picture["revision"])
        until(early, "revision => window.gaplessPage.revision >= revision", picture["revision"])
        passed = "() => window.gaplessPage.transitions().map(each => [each.before, each.trigger, each.after])"
        moves = late.evaluate(passed)
        assert moves == early.evaluate(passed)
        assert ["CONNECTED", "LINK_LOST", "REST_FALLBACK"] in moves
        first = [candles(page, "BTC/USD")[0] for page in (early, late)]
        assert first[0]["t"] == first[1]["t"]
        assert first[0]["n"] == first[1]["n"]


def test_what_a_feed_says_stays_text(open_page: Open) -> None:
    """Symbols and orders come from a peer: here from one that would like to run a script in the page."""
    with served(Wanted(symbols=(SCRIPT, QUOTES), orders=(SCRIPT, QUOTES), rate_per_s=5.0)) as server:
        page = open_page(server.url)
        until_connected(page)
        expect(page.locator("#orders tbody")).to_contain_text(SCRIPT, timeout=WAIT_MS)
        expect(page.locator("#orders tbody")).to_contain_text(QUOTES, timeout=WAIT_MS)
        expect(page.locator("#streams tbody")).to_contain_text(SCRIPT)
        expect(page.locator("#symbol-tabs")).to_contain_text(QUOTES)
        until(page, "symbol => window.gaplessPage.candles(symbol).length > 0", SCRIPT)
        press(page, "symbol_silent")
        server.until(lambda picture: any(item["kind"] == "fault" for item in picture["items"]), "told of the fault")
        server.until_whole()
        assert page.title() != "owned"
        assert page.locator("main svg[onload], main table script, header script").count() == 0


def test_a_restart_of_the_server_is_survived(open_page: Open) -> None:
    with served() as server:
        page = open_page(server.url)
        until_connected(page)
        until(page, "() => window.gaplessPage.candles('BTC/USD').length > 0")
        run = page.evaluate("() => window.gaplessPage.run")
        port = int(server.url.rpartition(":")[2])
        server.process.kill()
        server.process.wait()
        expect(page.locator("#banner")).to_be_visible(timeout=WAIT_MS)
        expect(page.locator("#banner")).to_have_text(re.compile("lost", re.IGNORECASE))
        assert candles(page, "BTC/USD"), "what was there is kept"
        expect(page.locator("#state-badge")).to_have_text("UNKNOWN")
        expect(page.locator("#wholeness")).to_have_attribute("data-whole", "unknown")
        expect(page.locator("#wholeness")).to_have_text(re.compile(r"as of \d\d:\d\d:\d\d"))
        expect(page).to_have_title(re.compile(r"^\(no server\)"))
        page.set_viewport_size({"width": 800, "height": 900})
        assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    with page.expect_response("**/api/faults", timeout=WAIT_MS) as reply, served(Wanted(port=port)):
        until(page, "run => window.gaplessPage.run !== run && window.gaplessPage.connected", run)
        until_connected(page)
        reply.value.finished()
        expect(page.locator("#banner")).to_be_hidden()
        expect(page.locator("#state-badge")).to_have_text("CONNECTED", timeout=WAIT_MS)


@pytest.mark.parametrize("width", [800, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out_of_the_page(open_page: Open, width: int, scheme: str) -> None:
    with served() as server:
        page = open_page(server.url)
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.set_viewport_size({"width": width, "height": 900})
        until_connected(page)
        until(page, "() => window.gaplessPage.candles('BTC/USD').length > 0")
        assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")


def test_every_control_is_reached_by_the_keyboard(open_page: Open) -> None:
    with served() as server:
        page = open_page(server.url)
        until_connected(page)
        until(page, "() => document.querySelectorAll('#fault-buttons button').length > 0")
        reached: set[str] = set()
        for _ in range(60):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("() => document.activeElement.dataset.fault || document.activeElement.id"))
        names = {each.get_attribute("data-fault") for each in page.locator("#fault-buttons button").all()}
        assert names <= reached
        assert {"timeline", "diagram-open"} <= reached


_NOTHING: Final[dict[str, Any]] = {"missing": 0, "lost_ids": 0, "lost": [], "rejected": None, "last_id": None}
_FLOWS: Final = {**_NOTHING, "last_id": 7}
_REJECTED: Final = {**_NOTHING, "rejected": "no such symbol"}


def test_only_what_was_delivered_is_called_whole(open_page: Open) -> None:
    with served() as server:
        page = open_page(server.url)

        def sentence(streams: list[dict[str, Any]], state: str = "CONNECTED", answered: int = 0) -> tuple[str, ...]:
            return tuple(asked(page, "text.js", "wholeness", streams, state, answered))

        assert sentence([_FLOWS, _FLOWS]) == ("whole", "Whole", "every id of 2 streams delivered once")
        assert sentence([_FLOWS, _NOTHING])[2] == "every id of 1 stream delivered once; 1 without data yet"
        assert sentence([_NOTHING]) == ("unproven", "No data yet", "")
        assert sentence([_REJECTED]) == ("unproven", "No data yet", "1 of 1 stream rejected")
        assert sentence([_FLOWS, _FLOWS, _REJECTED])[:2] == ("unproven", "Whole, but 1 of 3 streams is rejected")
        unreachable = "No data yet: the exchange cannot be reached"
        assert sentence([_NOTHING], "REST_FALLBACK") == ("unproven", unreachable, "")
        assert sentence([_NOTHING], "REST_FALLBACK", 1)[1] == "No data yet; asking over REST"
        assert sentence([_FLOWS], "REST_FALLBACK")[1] == "No known gap; collecting over REST"
        assert sentence([{**_FLOWS, "missing": 2}])[1].startswith("Checking")
        assert sentence([{**_FLOWS, "missing": 2}], "RESYNCING")[1] == "2 ids missing, being filled"
        assert asked(page, "text.js", "count", 2**60) == "≈1,152,921,504,606,847,000"


def test_an_empty_chart_says_why(open_page: Open) -> None:
    with served() as server:
        page = open_page(server.url)
        program = """async ([last_id, counters]) => {
          const { emptiness } = await import("/static/charts.js");
          return emptiness({ streams: [{ symbol: "A", last_id }], counters: new Map(Object.entries(counters)) }, "A");
        }"""
        assert page.evaluate(program, [None, {"absurd_times": 3}]) == "No data yet"
        assert "1 point refused: the venue's time" in page.evaluate(program, [1, {"absurd_times": 1}])
        assert "2 points refused: negative" in page.evaluate(program, [1, {"absurd_prices": 2}])


def test_a_clock_set_back_loses_no_transition(open_page: Open) -> None:
    program = """async times => {
      const { Store } = await import("/static/store.js");
      const store = new Store();
      for (const [index, at] of times.entries()) {
        const transitions = [{ at, before: "CONNECTED", after: "SILENT", trigger: "IDLE", generation: 1 }];
        const heartbeat = { last_s: 0.01, points: [[at, 0.01]] };
        store.apply({ revision: index, run: "r", whole: index === 0, at, transitions, heartbeat });
      }
      return [store.transitions.map(each => each.at), store.heartbeat.points.length];
    }"""
    with served() as server:
        assert open_page(server.url).evaluate(program, [9000, 5400, 5400.5]) == [[9000, 5400, 5400.5], 3]


def test_hidden_pages_hold_no_connection(open_page: Open) -> None:
    """A browser has six connections to one host: with a stream in each, the seventh page would wait for ever."""
    with served() as server:
        pages: list[Page] = []
        for _ in range(8):
            for each in pages[-1:]:
                hide(each, hidden=True)
                expect(each).to_have_title(re.compile("paused"))
            pages.append(open_page(server.url))
            until_connected(pages[-1])
        hide(pages[-1], hidden=True)
        assert not pages[0].evaluate("() => window.gaplessPage.connected")
        hide(pages[0], hidden=False)
        until_connected(pages[0])
        expect(pages[0]).to_have_title(re.compile("^[A-Z_]+:"), timeout=WAIT_MS)
        expect(pages[0].locator("#banner")).to_be_hidden()
        with pages[0].expect_response("**/api/faults/**") as reply:
            press(pages[0], "drop")
        assert reply.value.status == 204


def test_a_page_too_many_says_so(trying_page: Page) -> None:
    page = trying_page
    with served() as server, ExitStack() as streams:
        address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        for _ in range(32):
            stream = streams.enter_context(socket.create_connection(address))
            stream.sendall(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % address[1])
            assert stream.recv(12) == b"HTTP/1.1 200"
        page.goto(server.url)
        expect(page.locator("#banner")).to_contain_text("Too many pages are open; close one", timeout=WAIT_MS)
        expect(page.locator("#streams tbody tr")).to_have_count(4, timeout=WAIT_MS)
        streams.close()
        until_connected(page)
        expect(page.locator("#banner")).to_be_hidden(timeout=WAIT_MS)


_DEAF: Final = """
  window.opened = 0;
  window.deafUpTo = 0;
  window.EventSource = class extends EventSource {
    number = ++window.opened;
    addEventListener(kind, listener) {
      super.addEventListener(kind, event => this.number > window.deafUpTo && listener(event));
    }
  };
"""


def test_a_stream_that_fell_silent_is_opened_anew(trying_page: Page) -> None:
    page = trying_page
    page.add_init_script(_DEAF)
    with served() as server:
        page.goto(server.url)
        until_connected(page)
        page.evaluate("() => { window.deafUpTo = window.opened; }")
        revision = page.evaluate("() => window.gaplessPage.revision")
        until(page, "() => window.opened === window.deafUpTo + 1")
        until(page, "revision => window.gaplessPage.revision > revision + 10", revision)
        assert page.evaluate("() => window.gaplessPage.connected && window.opened === window.deafUpTo + 1")


def test_a_button_that_fails_leaves_the_other_one_running(trying_page: Page) -> None:
    page = trying_page
    with served() as server:
        page.goto(server.url)
        until_connected(page)
        page.route("**/api/faults/disconnect", lambda route: route.fulfill(status=204))
        page.route("**/api/faults/drop", lambda route: route.fulfill(status=409, body="not now"))
        page.route("**/api/faults/garbage", lambda _: None)
        running = page.locator("#fault-buttons button[data-fault=disconnect]")
        press(page, "disconnect")
        expect(running).to_have_attribute("data-phase", "running")
        press(page, "drop")
        expect(page.locator("button[data-fault=drop]")).to_have_attribute("data-phase", "failed")
        expect(page.locator("#fault-status")).to_contain_text("not now")
        press(page, "garbage")
        page.locator("#timeline").focus()
        expect(page.locator("button[data-fault=garbage]")).to_have_attribute("data-phase", "failed", timeout=WAIT_MS)
        expect(page.locator("button[data-fault=garbage]")).to_be_enabled()
        expect(running).to_have_attribute("data-phase", "running")
        expect(page.locator("#timeline")).to_be_focused()
