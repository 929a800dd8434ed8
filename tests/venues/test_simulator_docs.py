"""The example of docs/venues.md runs, and its tables name the limits that are enforced."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

from trio.testing import MockClock

from gapless.simulator.network import VirtualNetwork
from gapless.simulator.venues import VENUES, BinanceLimits, CoinbaseLimits, DeribitLimits, KrakenLimits
from gapless.simulator.venues.deribit.limits import DEAR

TEXT = (Path(__file__).parents[2] / "docs" / "venues.md").read_text()


async def test_the_example_runs(autojump_clock: MockClock) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    namespace: dict[str, Callable[[], Awaitable[None]]] = {}
    exec(compile(example, "docs/venues.md", "exec"), namespace)  # noqa: S102  # our own document
    with VirtualNetwork().installed():
        await namespace["story"]()


def test_every_venue_is_told_of() -> None:
    assert all(f"--venue {name}" in TEXT for name in VENUES)


def test_the_tables_name_the_limits_that_are_enforced() -> None:
    binance, coinbase = BinanceLimits(), CoinbaseLimits()
    kraken, deribit = KrakenLimits(), DeribitLimits()
    for said in (
        f"{binance.weight_per_minute:,} weight per minute",
        f"{binance.messages_per_s} messages a second and connection",
        f"{binance.streams_max:,} streams of a connection",
        f"{binance.connects_per_5_minutes} connects in 5 minutes",
        f"{coinbase.requests_per_s:g} requests a second and address, {coinbase.requests_burst} at once",
        f"{coinbase.messages_per_s:g} messages a second and connection, {coinbase.messages_burst} at once",
        f"{coinbase.connects_per_s:g} connects a second and address, {coinbase.connects_burst} at once",
        f"{kraken.requests_per_s:g} request a second and address, {kraken.requests_burst} at once",
        f"{kraken.connects_per_10_minutes} connects in 10 minutes",
        f"a pool of {deribit.credits_max:,} credits of an address, {deribit.credits_per_s:,.0f} a second",
        f"a request costs {deribit.credits_per_request}, `public/subscribe` {DEAR['public/subscribe']:,}",
        f"{deribit.connections_max} connections of an address",
    ):
        assert said in TEXT, said


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", TEXT)
    assert targets
    assert all((Path(__file__).parents[2] / "docs" / target).exists() for target in targets)
