"""Every button that breaks something leads through the states it names, ticked off on screen, and back to CONNECTED.

Each has a server of its own; a few share a browser at a time, for most of the time is waiting.
"""

from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import expect

from gapless.dashboard.breakages import breakages
from tests.browser.conftest import Open
from tests.browser.program import Wanted
from tests.browser.served import PATIENCE_S, served

pytestmark = pytest.mark.browser
BUTTONS = [each.button for each in breakages("ETH/USD")]
AT_ONCE = 4


@pytest.mark.parametrize("first", range(0, len(BUTTONS), AT_ONCE))
def test_a_button_leads_through_its_states_and_back(first: int, open_page: Open) -> None:
    some = BUTTONS[first : first + AT_ONCE]
    with ExitStack() as stack:
        servers = [stack.enter_context(served(Wanted(rate_per_s=10.0))) for _ in some]
        pages = [open_page(server.url) for server in servers]
        for page in pages:
            page.wait_for_function("() => window.gaplessPage?.state === 'CONNECTED'", timeout=PATIENCE_S * 1_000)
            page.wait_for_function("() => document.querySelectorAll('#fault-buttons button').length")
        for button, page in zip(some, pages, strict=True):
            page.locator(f"#fault-buttons button[data-fault={button.name}]").click()
        for button, page in zip(some, pages, strict=True):
            steps = page.locator("#fault-details .shown li")
            expect(steps).to_have_text(button.expect)
            try:
                expect(page.locator("#fault-details .shown li[data-seen=true]")).to_have_count(
                    len(button.expect), timeout=PATIENCE_S * 1_000
                )
            except AssertionError as error:
                moves: list[dict[str, Any]] = page.evaluate("() => window.gaplessPage.transitions()")
                walked = [f"{each['trigger']} -> {each['after']}" for each in moves]
                raise AssertionError(f"{button.name}: expected {button.expect}; the controller: {walked}") from error
            expect(page.locator("#state-badge")).to_have_text("CONNECTED", timeout=PATIENCE_S * 1_000)
        for server in servers:
            server.until_whole()
