"""The page in a real browser. Real sockets and real time: a browser knows no other."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

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
        assert page.evaluate("() => document.title").startswith("gapless") or "gapless" in page.title()


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
    with served(Wanted(port=port)):
        until(page, "run => window.gaplessPage.run !== run && window.gaplessPage.connected", run)
        until_connected(page)
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
