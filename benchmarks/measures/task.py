"""How a measure is told what to do, and says what it found."""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from benchmarks.contenders.meter import end_with_parent, pin

Task = dict[str, Any]
Figures = dict[str, Any]


def run(measure: Callable[[Task], Figures]) -> None:
    """Do what the argument of the process says, and print the figures as one line of JSON."""
    task: Task = json.loads(sys.argv[1])
    pin(task["cpu"])
    end_with_parent()
    print(json.dumps(measure(task)), flush=True)
    os._exit(0)


class WatchedClient:
    """An httpx client that notes when requests for a symbol leave and when their replies are there."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, float]] = []
        self.answered: list[tuple[str, float]] = []
        hooks: dict[str, list[Callable[..., Any]]] = {"request": [self._sent], "response": [self._answered]}
        self.http = httpx.AsyncClient(trust_env=False, event_hooks=hooks)

    def count_after(self, at: float) -> int:
        """Requests that left after this moment."""
        return sum(left_at > at for _, left_at in self.sent)

    def first_after(self, at: float, symbol: str) -> tuple[float, float]:
        """When the first request for a symbol after this moment left, and when a reply after that was there."""
        left_at = next(each for name, each in self.sent if name == symbol and each > at)
        return left_at, next(each for name, each in self.answered if name == symbol and each > left_at)

    async def _sent(self, request: httpx.Request) -> None:
        self.sent.append((_symbol(request), time.monotonic()))

    async def _answered(self, response: httpx.Response) -> None:
        await response.aread()
        self.answered.append((_symbol(response.request), time.monotonic()))


def _symbol(request: httpx.Request) -> str:
    return parse_qs(urlsplit(str(request.url)).query).get("symbol", [""])[0]
