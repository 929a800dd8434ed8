"""A headless Chromium, where there is one; elsewhere the tests that need it are skipped, and say so."""

import shutil
from collections.abc import Callable, Iterator
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM: Final = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDTH, HEIGHT = 1280, 900

Open = Callable[[str], Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed: the page was not tried in a browser")
    with sync_playwright() as playwright:
        arguments = ["--enable-precise-memory-info", "--js-flags=--expose-gc"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=False, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Open the page of a server. In the end: no script failed, and nothing was asked of another machine."""
    errors: list[str] = []
    asked: list[str] = []
    opened: list[str] = []
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
    context.on("weberror", lambda error: errors.append(str(error.error)))
    context.on("request", lambda request: asked.append(request.url))

    def visit(url: str) -> Page:
        page = context.new_page()
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        opened.append(url)
        page.goto(url)
        return page

    yield visit
    context.close()
    assert asked
    assert [url for url in asked if not url.startswith((*opened, "data:", "blob:"))] == []
    # The server of a test ends before its pages do: that it is gone, the browser itself tells in the console.
    assert [text for text in errors if "net::ERR_" not in text and "Failed to fetch" not in text] == []
