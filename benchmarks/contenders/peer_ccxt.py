"""ccxt pro: an exchange class of one's own on ``ccxt.pro.Exchange``, with ``watch()`` and ``handle_message``.

As the exchanges of ccxt are built: ``watch`` opens the client and subscribes, ccxt parses with orjson and calls
``handle_message`` for each message, which checks the id, keeps the message, and resolves the future that the app
awaits; the app takes all that is new, as ``watchTrades`` with ``newUpdates`` does. Left out, in its favour: ccxt's own
unified structures (``safe_ticker`` would make it many times slower) and its caches. It offers deflate always.
"""

from typing import Any

import ccxt.pro

from benchmarks.contenders.meter import Meter, Task, run
from benchmarks.contenders.peer import app, run_loop, subscribe


class Venue(ccxt.pro.Exchange):
    """An exchange that speaks the reference format."""

    def describe(self) -> Any:
        """What ccxt asks of every exchange."""
        return self.deep_extend(super().describe(), {"id": "reference", "has": {"ws": True}, "enableRateLimit": False})

    def begin(self, task: Task, meter: Meter) -> None:
        """Where to, and for whom."""
        self.feed_url = task.ws_url
        self.subscription = {"streams": task.names}
        self.message = _Raw(subscribe(task))
        self.take = app(meter)
        self.fresh: list[dict[str, Any]] = []

    async def watch_feed(self) -> list[dict[str, Any]]:
        """All messages that are new."""
        if not self.fresh:
            await self.watch(self.feed_url, "feed", self.message, "feed")
        fresh, self.fresh = self.fresh, []
        return fresh

    def handle_message(self, client: Any, message: dict[str, Any]) -> None:
        """Called by ccxt for each message."""
        if message["type"] == "MARKET_DATA":
            self.fresh.append(message)
            client.resolve(self.fresh, "feed")


class _Raw(str):
    """Sent as it is."""

    __slots__ = ()


async def _main(task: Task, meter: Meter) -> None:
    venue = Venue({"cafile": task.certificate} if task.certificate else {})
    venue.begin(task, meter)
    while not meter.done.is_set():
        for message in await venue.watch_feed():
            venue.take(
                message["channel"], message["symbol"], message["sequence_id"], message["price"], message["volume_24h"]
            )


def contend(task: Task, meter: Meter) -> None:
    """Watch."""
    run_loop(_main, task, meter)


if __name__ == "__main__":
    run(contend)
