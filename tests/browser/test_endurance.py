"""A page that is open for long, and one that never reads: neither costs the server, the browser or the controller.

Half a minute here; ``make prove`` takes the full five, by ``GAPLESS_ENDURANCE_S``.
"""

import os
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Open
from tests.browser.program import Wanted
from tests.browser.served import PATIENCE_S, Served, served

pytestmark = pytest.mark.browser
LENGTH_S = float(os.environ.get("GAPLESS_ENDURANCE_S", "30"))
IDLE_S = 2.0
DETECTED_WITHIN_S = 0.35
"""Beyond the idle window: the contract's 0.1 s, and what a scheduler of a busy machine takes."""


def heap_bytes(page: Page) -> int:
    """Of the page, after a collection."""
    used: int = page.evaluate("() => { globalThis.gc?.(); return performance.memory.usedJSHeapSize; }")
    return used


def test_twenty_updates_a_second_leave_memory_flat(open_page: Open) -> None:
    with served(Wanted(rate_per_s=10.0)) as server:
        page = open_page(server.url)
        page.wait_for_function("() => window.gaplessPage?.candles('BTC/USD').length > 0", timeout=PATIENCE_S * 1_000)
        marks: list[tuple[int, int]] = []
        ids: list[int] = []
        # A third of the time is for what is bounded to fill: tables, caches, the browser's own.
        for share in (1 / 3, 2 / 3, 1.0):
            time.sleep(LENGTH_S / 3)
            marks.append((heap_bytes(page), server.memory_bytes()))
            ids.append(sum(each["last_id"] or 0 for each in server.picture()["streams"] if each["channel"] == "ticker"))
            print(f"{share * LENGTH_S:.0f} s: page {marks[-1][0] / 1e6:.1f} MB, server {marks[-1][1] / 1e6:.1f} MB")  # noqa: T201
        assert ids[-1] - ids[0] >= 20 * LENGTH_S * 2 / 3 * 0.8, "so many updates it was"
        assert marks[-1][0] - marks[0][0] < 5e6
        assert marks[-1][1] - marks[0][1] < 10e6


def silence(server: Served) -> float:
    """Make the venue fall silent; seconds from the last live datum to SILENT, as the controller stamped them."""
    known = len(server.until_whole()["transitions"])
    httpx.post(f"{server.url}/api/faults/silent", trust_env=False).raise_for_status()
    last_live_at = 0.0
    found_at: list[float] = []

    def is_silent(picture: dict[str, Any]) -> bool:
        nonlocal last_live_at
        found_at[:] = [each["at"] for each in picture["transitions"][known:] if each["after"] == "SILENT"]
        if not found_at:
            live = [
                each["last_at"] for each in picture["streams"] if each["last_source"] == "LIVE" and each["last_price"]
            ]
            last_live_at = max([last_live_at, *live])
        return bool(found_at)

    server.until(is_silent, "SILENT")
    server.until_whole()
    return found_at[0] - last_live_at


def test_silence_is_found_as_soon_with_pages_open_and_with_one_that_never_reads(open_page: Open) -> None:
    with served(Wanted(rate_per_s=20.0, idle_s=IDLE_S)) as server:
        alone_s = silence(server)
        open_page(server.url)
        where = urlsplit(server.url)
        with socket.create_connection((where.hostname, where.port)) as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            deaf.sendall(f"GET /events HTTP/1.1\r\nHost: {where.netloc}\r\n\r\n".encode())
            beside_s = silence(server)
        print(f"found after {alone_s:.3f} s alone, {beside_s:.3f} s with a page and a client that never reads")  # noqa: T201
        assert alone_s + 0.05 >= IDLE_S
        assert abs(beside_s - alone_s) < DETECTED_WITHIN_S
