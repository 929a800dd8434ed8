"""The page's server as a process, and what it says over HTTP."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from tests.browser.program import At, Wanted

PATIENCE_S: Final = 40.0
"""For what takes a few seconds on an idle machine."""
_PROGRAM: Final = Path(__file__).with_name("program.py")


class Served:
    """A running server."""

    def __init__(self, process: "subprocess.Popen[bytes]", url: str) -> None:
        self.process = process
        self.url = url.rstrip("/")

    def picture(self) -> dict[str, Any]:
        """All that a page opened now would be told."""
        reply = httpx.get(f"{self.url}/api/picture", trust_env=False, timeout=PATIENCE_S)
        picture: dict[str, Any] = reply.raise_for_status().json()
        return picture

    def until(self, holds: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        """Wait until the picture is such."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds(picture := self.picture()):
            if time.monotonic() > deadline:
                raise AssertionError(f"not {what} within {PATIENCE_S:g} s, but {picture['state']}")
            time.sleep(0.1)
        return picture

    def until_whole(self) -> dict[str, Any]:
        """Wait until the feed is CONNECTED, flows, and nothing is known to be missing."""
        return self.until(
            lambda picture: (
                picture["state"]["name"] == "CONNECTED"
                and all(not each["missing"] for each in picture["streams"])
                and any(each["live"] for each in picture["streams"])
            ),
            "whole",
        )

    def memory_bytes(self) -> int:
        """Of the server: resident now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = (each for each in status.splitlines() if each.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024


@contextmanager
def served(wanted: Wanted | None = None) -> Iterator[Served]:
    """A server for as long as the block lasts."""
    wish = msgspec.json.encode(wanted or Wanted()).decode()
    command = [sys.executable, str(_PROGRAM), wish]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            yield Served(process, msgspec.json.decode(line, type=At).url)
        finally:
            process.kill()
