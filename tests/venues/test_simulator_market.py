"""The market of a simulated venue: what is published and generated, what is remembered, who may be what."""

from decimal import Decimal
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from gapless.simulator import FailuresConfig, SelectMode, SettingsError
from gapless.simulator.venues import BinanceSpot, CoinbaseExchange, VenueConfig, VenueSimulator
from gapless.simulator.venues.history import History
from gapless.simulator.venues.limits import SlidingWindow, TokenBucket
from tests.venues.simulator_kit import simulated

BTC = "BTCUSDT"


class Row:
    def __init__(self, number: int, time_ns: int) -> None:
        self.number = number
        self.time_ns = time_ns


def numbers(rows: list[Row]) -> list[int]:
    return [row.number for row in rows]


def history(*rows: tuple[int, int], size_max: int = 100) -> History[Row]:
    made: History[Row] = History(size_max)
    for number, time_ns in rows:
        made.add(Row(number, time_ns))
    return made


def test_pages_of_a_history_with_holes() -> None:
    shown = history((2, 10), (3, 10), (7, 20), (9, 30)).shown(keep=100)
    assert numbers(shown.latest(2)) == [7, 9]
    assert numbers(shown.from_number(3, 2)) == [3, 7]
    assert numbers(shown.from_number(4, 9)) == [7, 9]
    assert numbers(shown.from_number(10, 9)) == []
    assert numbers(shown.below_number(9, 2)) == [3, 7]
    assert numbers(shown.below_number(2, 2)) == []
    assert numbers(shown.between(10, None, 9)) == [2, 3, 7, 9]
    assert numbers(shown.between(11, 30, 1)) == [7]
    assert numbers(shown.between(None, 20, 2)) == [3, 7]
    assert numbers(shown.between(31, None, 9)) == []


def test_what_is_kept_and_what_lags() -> None:
    made = history(*((number, number) for number in range(1, 11)))
    assert numbers(made.shown(keep=3).latest(9)) == [8, 9, 10]
    assert numbers(made.shown(keep=3, behind=2).from_number(0, 9)) == [8]
    assert numbers(made.shown(keep=3, behind=5).latest(9)) == []
    empty = made.shown(keep=0)
    assert (empty.first, empty.last) == (None, None)
    assert numbers(made.shown(keep=100, behind=100).latest(9)) == []


def test_a_history_is_bounded() -> None:
    made = history(*((number, number) for number in range(1, 1_001)), size_max=100)
    assert 75 <= len(made.rows) <= 100
    assert made.rows[-1].number == 1_000


@pytest.mark.parametrize("row", [(9, 30), (8, 31), (10, 29)])
def test_numbers_rise_and_times_never_fall(row: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="expected a number above 9 and a time from 30 on"):
        history((9, 30)).add(Row(*row))


def test_a_sliding_window() -> None:
    window = SlidingWindow(2, 10.0)
    assert [window.take("a", at) for at in (0.0, 4.0)] == [0.0, 0.0]
    assert window.take("a", 5.0) == pytest.approx(5.0)
    assert window.take("b", 5.0) == 0.0
    assert window.take("a", 10.0) == 0.0
    assert window.take("a", 13.9) == pytest.approx(0.1)


def test_a_token_bucket() -> None:
    bucket = TokenBucket(10.0, 2)
    assert [bucket.take("a", 0.0) for _ in range(2)] == [0.0, 0.0]
    assert bucket.take("a", 0.0) == pytest.approx(0.1)
    assert bucket.used("a") == 2
    assert bucket.take("b", 0.0) == 0.0
    assert bucket.used("b") == 1
    at = 0.0
    for _ in range(1_000):
        at += 0.1
        assert bucket.take("a", at) == 0.0, "exactly the rate, for as long as anybody likes"


async def test_the_generated_market_is_exact_and_repeats_itself(autojump_clock: MockClock) -> None:
    markets = []
    for _ in range(2):
        async with simulated(BinanceSpot(), rate_per_s=50.0, seed=5) as world:
            await trio.sleep(10.0 - trio.current_time() % 1.0)
            markets.append([(each.trade_id, each.price, each.amount, each.side) for each in world.venue.trades(BTC)])
    first, second = (market[:300] for market in markets)
    assert first == second
    assert len(first) == 300
    assert {len(price.partition(".")[2]) for _, price, _, _ in first} == {8}
    assert all(Decimal(price) > 0 and Decimal(amount) > 0 for _, price, amount, _ in first)
    assert {side for _, _, _, side in first} == {"buy", "sell"}
    assert all(earlier[0] + 1 == later[0] for earlier, later in pairwise(first))


def test_another_seed_is_another_market() -> None:
    simulators = [VenueSimulator(CoinbaseExchange(), VenueConfig(seed=seed)) for seed in (1, 2, 3, 1)]
    prices = ["-".join(each.publish("BTC-USD").price for _ in range(3)) for each in simulators]
    assert len(set(prices)) == 3
    assert prices[0] == prices[3]


async def test_some_orders_fill_several_makers_at_once(autojump_clock: MockClock) -> None:
    async with simulated(BinanceSpot(), rate_per_s=50.0, symbols=(BTC,)) as world:
        await trio.sleep(20.0)
        trades = world.venue.trades(BTC)
        assert len(trades) > 1_100, "50 orders a second, some of several trades"
        assert any(a.time_ns == b.time_ns and a.price == b.price for a, b in pairwise(trades))
        assert any(a.time_ns == b.time_ns and a.price != b.price for a, b in pairwise(trades))


@pytest.mark.parametrize("text", ["", "0", "0.000", "-1", "1e5", "1,5", "nan", "cheap", ".5", "1" * 30])
def test_what_is_published_is_exact_text(text: str) -> None:
    simulator = VenueSimulator(BinanceSpot())
    with pytest.raises(ValueError, match="expected decimal text above zero"):
        simulator.publish(BTC, price=text)
    with pytest.raises(ValueError, match="amount = "):
        simulator.publish(BTC, amount=text)


def test_a_symbol_that_is_not_traded() -> None:
    simulator = VenueSimulator(BinanceSpot())
    for refused in (lambda: simulator.publish("NOSUCH"), lambda: simulator.trades("NOSUCH")):
        with pytest.raises(KeyError, match="NOSUCH"):
            refused()


def test_a_venue_belongs_to_one_simulator() -> None:
    venue = BinanceSpot()
    with pytest.raises(RuntimeError, match="belongs to no simulator yet"):
        _ = venue.market
    VenueSimulator(venue)
    with pytest.raises(RuntimeError, match="make one for each"):
        VenueSimulator(venue)


def test_a_failure_of_a_symbol_that_is_not_traded_is_refused() -> None:
    drop = SelectMode(enabled=True, every_nth=2, symbols=("NOSUCH",))
    with pytest.raises(SettingsError, match="expected some of BTCUSDT, ETHUSDT"):
        VenueSimulator(BinanceSpot(), VenueConfig(failures=FailuresConfig(drop=drop)))


def test_the_record_holds_at_least_what_rest_shows() -> None:
    with pytest.raises(SettingsError, match="record_max = 10: expected at least history_size = 20"):
        VenueConfig(history_size=20, record_max=10)


async def test_a_session_may_be_named(autojump_clock: MockClock) -> None:
    async with simulated(BinanceSpot()) as world:
        world.venue.failures.set(FailuresConfig(drop=SelectMode(enabled=True, every_nth=1)), "alice")
        async with world.dial("/ws/btcusdt@trade?session_id=alice") as alice, world.dial("/ws/btcusdt@trade") as other:
            await trio.sleep(0.1)
            world.publish(1, BTC)
            assert await alice.hears_nothing(1.0)
            assert (await other.hear())["s"] == BTC
        assert [each.session_id for each in world.venue.handshakes] == ["alice", "127.0.0.1"]
