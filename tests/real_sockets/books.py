"""What an exchange in another process issued and owes to one session, by its REST server, and the check of it."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeAlias

import httpx
import msgspec

from gapless.cli.oracle import Observed, Record, Terms, judge
from gapless.controller import AnyEvent, MarketData, State
from gapless.simulator.testkit.deliveries import Issued, Point, StreamKey
from gapless.simulator.testkit.issued import owed_from
from tests.kit import TICKER

Get: TypeAlias = Callable[[str], Awaitable[bytes]]
"""Reads a URL."""
_PAGE_ROWS = 1000
"""What one page of the exchange holds at most."""
_UNKNOWN = Point("", 0.0, 0.0, 0.0, 0.0)


class _Subscription(msgspec.Struct, frozen=True):
    session_id: str
    epoch: str
    symbol: str
    mark: int


class _Issued(msgspec.Struct, frozen=True):
    subscriptions: list[_Subscription]


class _Row(msgspec.Struct, frozen=True):
    sequence_id: int
    timestamp: str
    price: float
    bid: float
    ask: float
    volume_24h: float


class _Page(msgspec.Struct, frozen=True):
    prices: list[_Row]
    epoch: str


async def over_loopback(url: str) -> bytes:
    async with httpx.AsyncClient(trust_env=False, timeout=10.0) as http:
        return (await http.get(url)).raise_for_status().content


class Books:
    """One session and :data:`TICKER`, each epoch as far as it was read."""

    def __init__(self, session_id: str, get: Get = over_loopback) -> None:
        self._session_id = session_id
        self._get = get
        self._marks: dict[str, int] = {}
        self._points: dict[str, list[Point]] = {}

    async def read(self, rest_url: str) -> int:
        """Write down what the exchange has issued until now; the last id of it."""
        issued = msgspec.json.decode(await self._get(f"{rest_url}/api/v1/simulator/issued"), type=_Issued)
        for each in issued.subscriptions:
            if (each.session_id, each.symbol) == (self._session_id, TICKER.symbol):
                self._marks.setdefault(each.epoch, each.mark)
        points: list[Point] = []
        more = True
        while more:
            query = f"symbol={TICKER.symbol}&start_seq={len(points) + 1}&limit={_PAGE_ROWS}"
            page = msgspec.json.decode(await self._get(f"{rest_url}/api/v1/prices?{query}"), type=_Page)
            points += [Point(row.timestamp, row.price, row.bid, row.ask, row.volume_24h) for row in page.prices]
            self._points[page.epoch] = points
            more = len(page.prices) == _PAGE_ROWS
        return len(points)

    def broken_promises(self, events: Sequence[AnyEvent], *states: State) -> Sequence[str]:
        """What the contract forbids, and which of ``states`` were never entered.

        A feed does not stand still: of each epoch is judged what lies up to the last id that came.
        """
        issued = {}
        for epoch, points in self._points.items():
            came = {each.sequence_id or 0: _point(each) for each in _data(events, epoch)}
            last = max(came, default=0)
            # What was issued after the last reading is known from what came alone.
            later = [came.get(number, _UNKNOWN) for number in range(len(points) + 1, last + 1)]
            issued[StreamKey(epoch, TICKER.channel, TICKER.symbol)] = Issued(
                points=[*points[:last], *later], owed_from=owed_from(self._marks, epoch)
            )
        record = Record(issued=issued, injected={}, requests_at=())
        terms = Terms(states=frozenset(states), silence_max_s=0.0, requests_per_s_max=0)
        return judge(record, Observed(events=events, silences=()), terms).violations


def _data(events: Sequence[AnyEvent], epoch: str) -> Iterator[MarketData]:
    return (each for each in events if isinstance(each, MarketData) and each.epoch == epoch)


def _point(event: MarketData) -> Point:
    return Point(event.timestamp, event.price, event.bid or 0.0, event.ask or 0.0, event.volume_24h or 0.0)
