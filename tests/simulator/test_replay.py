"""Recorded trades as market data: a trace written here, and the recorded session where it is at hand."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gapless.simulator import CaptureError, Replay, Trade, read_trades
from tests.simulator.conftest import served

BEGIN_NS = 1_700_000_000_000_000_000
CAPTURES = Path(os.environ.get("GAPLESS_CAPTURES") or Path(__file__).parents[3] / "shared" / "captures")
SESSION = (CAPTURES / "binance" / "btcusdt_20240808.gz", CAPTURES / "binance" / "btcusdt_20240809.gz")


def frame(at_s: float, stream: str, **data: Any) -> bytes:
    body = msgspec.json.encode({"stream": stream, "data": data})
    return b"%d %b\n" % (BEGIN_NS + round(at_s * 1e9), body)


def trade(at_s: float, trade_id: int, price: str = "100.0", symbol: str = "BTCUSDT") -> bytes:
    name = f"{symbol.lower()}@trade"
    return frame(at_s, name, e="trade", E=1, s=symbol, t=trade_id, p=price, q="0.5", T=1, m=True, M=True)


def best(at_s: float, bid: str, ask: str, symbol: str = "BTCUSDT") -> bytes:
    return frame(at_s, f"{symbol.lower()}@bookTicker", u=1, s=symbol, b=bid, B="1.0", a=ask, A="1.0")


TRACE = (
    trade(0.0, 501, "100.0"),
    best(0.1, "99.0", "101.0"),
    frame(0.2, "btcusdt@depth@100ms", e="depthUpdate", b=[["1", "2"]], a=[]),
    b'%d {"lastUpdateId":1,"bids":[["1","2"]],"asks":[]}\n' % (BEGIN_NS + 250_000_000),
    trade(2.0, 502, "100.5"),
    best(2.0, "1.0", "2.0", symbol="ETHUSDT"),
    trade(2.5, 503, "101.25"),
)
"""A capture with everything a recorded one has: trades, best prices, depth, a snapshot in between, another symbol."""


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("name", ["trace.txt", "trace.gz"])
def test_trades_are_read_with_the_best_prices_of_their_moment(tmp_path: Path, name: str) -> None:
    first, second, third = read_trades(written(tmp_path / name, b"".join(TRACE)))
    assert first == Trade(
        symbol="BTCUSDT", price=100.0, quantity=0.5, trade_id=501, time_ns=BEGIN_NS, bid=100.0, ask=100.0
    )
    assert (second.trade_id, second.bid, second.ask) == (502, 99.0, 101.0)
    assert (third.trade_id, third.price, third.bid) == (503, 101.25, 99.0)
    assert third.time_ns - second.time_ns == 500_000_000


def test_several_files_continue_one_another(tmp_path: Path) -> None:
    first = written(tmp_path / "1.gz", b"".join(TRACE[:3]))
    second = written(tmp_path / "2.gz", b"".join(TRACE[3:]))
    assert read_trades(first, second) == read_trades(written(tmp_path / "all.txt", b"".join(TRACE)))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "found none"),
        (best(0.0, "1.0", "2.0"), "found none"),
        (b"\n", "line 1: expected <receive time in ns>"),
        (TRACE[0] + b"hello\n", "line 2: expected <receive time in ns>"),
        (TRACE[0] + TRACE[1][:-20], "line 2: expected <receive time in ns>"),
        (TRACE[0] + b"12\n", "line 2: expected"),
        (TRACE[0] + b"12 []\n", "line 2: expected"),
        (frame(0.0, "x@trade", s="X", t=1, p="100.0"), "line 1: expected"),
        (trade(0.0, 1, price="free"), "Expected `float`"),
        (trade(0.0, 1, price="-1"), "Expected `float` > 0.0"),
        (trade(0.0, 1, price="nan"), "Expected `float` > 0.0"),
        (b"\xff\xfe\x00", "line 1: expected"),
        (b"1 " + b"[" * 100_000 + b"\n", "line 1: expected"),
        (b"9" * 5_000 + TRACE[0][19:], "line 1: expected"),
        (b"9" * 400 + TRACE[0][19:], "line 1: expected <receive time in ns>"),
        (b"%d" % 2**63 + TRACE[0][19:], "line 1: expected <receive time in ns>"),
        (trade(0.2, 1) + trade(0.1, 2), "line 2: expected trades in order of time"),
    ],
)
def test_a_broken_capture_is_one_clear_error(tmp_path: Path, content: bytes, says: str) -> None:
    path = written(tmp_path / "broken.txt", content)
    with pytest.raises(CaptureError) as refused:
        read_trades(path)
    assert str(refused.value).startswith(str(path))
    assert says in str(refused.value)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    "spoil",
    [lambda packed: packed[: len(packed) // 2], lambda packed: packed[:15] + b"\xff" * 9 + packed[24:], lambda _: b"x"],
    ids=["truncated", "corrupt", "not gzip"],
)
def test_a_spoilt_archive_is_one_clear_error(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "spoilt.gz"
    path.write_bytes(spoil(gzip.compress(b"".join(trade(n, n + 1, str(n * 7 % 113 + 1)) for n in range(500)))))
    with pytest.raises(CaptureError, match=r"spoilt\.gz"):
        read_trades(path)


def test_files_that_do_not_continue_one_another_are_one_clear_error(tmp_path: Path) -> None:
    first, second = written(tmp_path / "1.txt", trade(2.0, 1)), written(tmp_path / "2.txt", trade(1.0, 2))
    with pytest.raises(CaptureError, match=r"2\.txt, line 1: expected trades in order of time"):
        read_trades(first, second)


def test_trades_of_the_same_moment_keep_their_order(tmp_path: Path) -> None:
    trades = read_trades(written(tmp_path / "trace.txt", trade(0.0, 7) + trade(0.0, 6) + trade(0.1, 8)))
    assert [each.trade_id for each in trades] == [7, 6, 8]


def test_the_last_time_there_is(tmp_path: Path) -> None:
    latest = b"%d" % (2**63 - 1) + TRACE[0][19:]
    trades = read_trades(written(tmp_path / "trace.txt", TRACE[0] + latest))
    assert Replay(trades).duration_s == pytest.approx(7.5e9, rel=0.1)


def test_a_missing_capture_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"nowhere\.gz.*No such file"):
        read_trades(tmp_path / "nowhere.gz")


async def test_trades_are_published_with_their_spacing(autojump_clock: MockClock, tmp_path: Path) -> None:
    trades = read_trades(written(tmp_path / "trace.txt", b"".join(TRACE)))
    async with served(symbols=("BTCUSDT",), channels=("trade",)) as world, world.welcomed() as client:
        await client.subscribe("trade:BTCUSDT")
        heard: list[tuple[float, dict[str, Any]]] = []
        begin = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Replay(trades, 2.0).run, world.exchange)
            for _ in range(3):
                message = await client.hear()
                heard.append((trio.current_time() - begin, message))
        assert [at for at, _ in heard] == pytest.approx([0.0, 1.0, 1.25], abs=0.02)
        assert [message["sequence_id"] for _, message in heard] == [1, 2, 3]
        assert [message["trade_id"] for _, message in heard] == [501, 502, 503]
        third = heard[2][1]
        assert (third["type"], third["channel"], third["symbol"]) == ("MARKET_DATA", "trade", "BTCUSDT")
        assert (third["price"], third["bid"], third["ask"]) == (101.25, 99.0, 101.0)
        assert (third["quantity"], third["volume_24h"]) == (0.5, 1.5)
        row = world.exchange.get_price_history("BTCUSDT", channel="trade")[2]
        assert (row.trade_id, row.quantity, row.timestamp) == (503, 0.5, third["timestamp"])
        assert await client.hears_nothing(for_s=3_600), "after the last trade the market is quiet"


async def test_recorded_symbols_may_be_given_other_names(autojump_clock: MockClock) -> None:
    async with served() as world:
        await Replay([_made("BTCUSDT")], symbols={"BTCUSDT": "BTC/USD"}).run(world.exchange)
        assert world.exchange.last_id("trade", "BTC/USD") == 1


async def test_a_symbol_the_exchange_does_not_have_is_refused_before_anything(autojump_clock: MockClock) -> None:
    async with served() as world:
        with pytest.raises(ValueError, match="cannot replay DOGEUSDT: there is no symbol 'DOGEUSDT'"):
            await Replay([_made("BTC/USD"), _made("DOGEUSDT")]).run(world.exchange)
        assert world.exchange.last_id("trade", "BTC/USD") == 0


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan"), float("inf")])
def test_a_speed_must_be_a_positive_number(speed: float) -> None:
    with pytest.raises(ValueError, match="expected a positive number"):
        Replay([_made("BTCUSDT")], speed)


def test_there_must_be_something_to_replay() -> None:
    with pytest.raises(ValueError, match="at least one trade"):
        Replay([])


def _made(symbol: str) -> Trade:
    return Trade(symbol=symbol, price=100.0, quantity=1.0, trade_id=1, time_ns=BEGIN_NS, bid=99.0, ask=101.0)


async def test_a_recorded_session_arrives_whole(autojump_clock: MockClock) -> None:
    """19,904 trades of a real exchange: the file is its own oracle, because its trade ids are contiguous."""
    if not all(path.exists() for path in SESSION):
        pytest.skip(f"no recorded session in {CAPTURES}; set GAPLESS_CAPTURES to where it is")
    trades = read_trades(*SESSION)
    assert len(trades) == 19_904
    assert [t.trade_id for t in trades] == list(range(3_735_683_259, 3_735_703_163))
    assert Replay(trades, 1.0).duration_s == pytest.approx(650, abs=2)
    async with served(symbols=("BTCUSDT",), channels=("trade",)) as world, world.welcomed() as client:
        await client.subscribe("trade:BTCUSDT")
        heard: list[tuple[int, float]] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Replay(trades, 650.0).run, world.exchange)
            while len(heard) < len(trades):
                message = await client.hear()
                heard.append((message["trade_id"], message["price"]))
        assert heard == [(t.trade_id, t.price) for t in trades]
        assert world.exchange.last_id("trade", "BTCUSDT") == len(trades)
