"""An exchange in a trio thread of its own, on loopback, and asyncio runs that leave nothing behind."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import trio

from gapless.controller import AnyEvent, MarketData, Stream
from gapless.controller.aio.thread import NAME
from gapless.simulator import Endpoints, ExchangeSimulator, FailuresConfig, SimulatorConfig, serve_exchange

T = TypeVar("T")

TICKER = Stream("ticker", "BTC/USD")
ETHER = Stream("ticker", "ETH/USD")
PATIENCE_S = 10.0
"""For what takes milliseconds where nothing is wrong."""


@dataclass(frozen=True, kw_only=True)
class Venue:
    """A served exchange. It publishes by itself at its rate, and by hand."""

    exchange: ExchangeSimulator
    endpoints: Endpoints
    token: trio.lowlevel.TrioToken

    @property
    def ws_url(self) -> str:
        return self.endpoints.ws_url

    @property
    def rest_url(self) -> str:
        return self.endpoints.rest_url

    def do(self, work: Callable[[], T]) -> T:
        """In the exchange's thread."""
        return trio.from_thread.run_sync(work, trio_token=self.token)

    def subscribed(self) -> int:
        """Subscriptions ever accepted; what is published afterwards is owed to them."""
        return self.do(lambda: len(self.exchange.subscriptions))

    def publish(self, count: int, stream: Stream = TICKER) -> None:
        def work() -> None:
            for number in range(count):
                self.exchange.publish(stream.channel, stream.symbol, price=50_000.0 + number)

        self.do(work)


@contextmanager
def venue(*, rate_per_s: float = 0.0, failures: FailuresConfig | None = None) -> Iterator[Venue]:
    """Serve an exchange until the block is left."""
    served: list[Venue] = []
    ready = threading.Event()
    scope = trio.CancelScope()

    async def main() -> None:
        config = SimulatorConfig(
            symbols=("BTC/USD", "ETH/USD"),
            rate_per_s=rate_per_s,
            failures=failures or FailuresConfig(),
            # A client that hangs up before the handshake is noticed only then.
            handshake_timeout_s=1.0,
        )
        exchange = ExchangeSimulator(config)
        with scope:
            async with serve_exchange(exchange) as endpoints:
                token = trio.lowlevel.current_trio_token()
                served.append(Venue(exchange=exchange, endpoints=endpoints, token=token))
                ready.set()
                await trio.sleep_forever()

    thread = threading.Thread(target=trio.run, args=(main,), name="exchange")
    thread.start()
    try:
        assert ready.wait(PATIENCE_S)
        yield served[0]
    finally:
        if served:
            served[0].do(scope.cancel)
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def run(main: Callable[[], Coroutine[object, object, T]]) -> T:
    """As ``asyncio.run``, in debug mode; no task may be left at the end."""

    async def watched() -> T:
        async with asyncio.timeout(PATIENCE_S):
            result = await main()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return result

    return asyncio.run(watched(), debug=True)


def threads() -> list[threading.Thread]:
    """The library's, alive."""
    return [thread for thread in threading.enumerate() if thread.name == NAME]


def until_no_thread() -> None:
    """Wait for the end of the library's thread."""
    for thread in threads():
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what no event tells; the run's own timeout is its end."""
    while not holds():  # noqa: ASYNC110  # told by another thread, or by nobody
        await asyncio.sleep(0.002)


async def data(events: Callable[[], Awaitable[AnyEvent]], count: int) -> list[MarketData]:
    """The next ``count`` pieces of market data."""
    taken: list[MarketData] = []
    while len(taken) < count:
        event = await events()
        if isinstance(event, MarketData):
            taken.append(event)
    return taken


def ids(events: Sequence[AnyEvent]) -> list[int]:
    """Of the market data among them."""
    return [event.sequence_id or 0 for event in events if isinstance(event, MarketData)]
