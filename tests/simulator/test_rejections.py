"""The failure ``reject``: a subscription that is refused for some symbols and taken for the rest."""

import pytest
import trio
from trio.testing import MockClock

from gapless.simulator import FailuresConfig, RejectMode, SettingsError
from tests.simulator.conftest import BTC, ETH, named, served

MODE = RejectMode(enabled=True, symbols=("ETH/USD",))


async def test_some_symbols_are_rejected_and_the_rest_is_subscribed(autojump_clock: MockClock) -> None:
    async with served(failures=FailuresConfig(reject=MODE)) as world, world.welcomed() as client:
        answer = await client.subscribe(BTC, ETH, "trade:ETH/USD", "ticker:XXX")
        assert (answer["type"], [each["symbol"] for each in answer["streams"]]) == ("SUBSCRIBED", ["BTC/USD"])
        first, second = await client.hear_many(2)
        assert {first["type"], second["type"]} == {"REJECTED"}
        assert {each["code"]: each["streams"] for each in (first, second)} == {
            "too_many_streams": named(ETH, "trade:ETH/USD"),
            "unknown_symbol": named("ticker:XXX"),
        }
        world.publish(1, ETH)
        world.publish(1, BTC)
        assert (await client.hear())["symbol"] == "BTC/USD"
        assert await client.hears_nothing()
        assert world.exchange.injected == {"reject": 1}
        assert [each.symbol for each in world.exchange.subscriptions] == ["BTC/USD"]


async def test_it_is_over_after_so_many_times_or_so_long(autojump_clock: MockClock) -> None:
    async with served() as world:
        for mode in (
            RejectMode(enabled=True, symbols=("ETH/USD",), count=2, code="busy"),
            RejectMode(enabled=True, symbols=("ETH/USD",), duration_s=1.0, code="busy"),
        ):
            world.exchange.failures.switch("reject", mode)
            async with world.welcomed() as client:
                for _ in range(2):
                    assert (await client.subscribe(ETH))["code"] == "busy"
                await trio.sleep(1.0)
                assert (await client.subscribe(ETH))["type"] == "SUBSCRIBED"


async def test_other_symbols_use_nothing_up(autojump_clock: MockClock) -> None:
    mode = RejectMode(enabled=True, symbols=("ETH/USD",), count=1)
    async with served(failures=FailuresConfig(reject=mode)) as world, world.welcomed() as client:
        assert (await client.subscribe(BTC))["type"] == "SUBSCRIBED"
        assert (await client.subscribe(ETH))["type"] == "REJECTED"
        assert (await client.subscribe(ETH))["type"] == "SUBSCRIBED"


async def test_what_is_subscribed_stays_subscribed(autojump_clock: MockClock) -> None:
    async with served() as world, world.welcomed() as client:
        world.publish(3, ETH)
        await client.subscribe(ETH)
        world.exchange.failures.switch("reject", MODE, "a")
        again = await client.subscribe(ETH)
        assert (again["type"], again["streams"][0]["sequence_id"]) == ("SUBSCRIBED", 3)
        assert world.exchange.injected == {}


def test_it_needs_a_symbol() -> None:
    with pytest.raises(SettingsError, match=r"RejectMode\.symbols = \(\): expected at least one symbol"):
        RejectMode(enabled=True)
