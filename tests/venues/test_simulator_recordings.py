"""Recorded trades: traces written here, and the recorded sessions where they are at hand."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gapless.simulator import CaptureError
from gapless.simulator.venues import (
    BinanceSpot,
    CaptureReader,
    CoinbaseExchange,
    CoinbaseOptions,
    RecordedTrade,
    VenueTrade,
    read_capture,
)
from gapless.simulator.venues.recording import duration_s
from tests.venues.simulator_kit import simulated

CAPTURES = Path(os.environ.get("GAPLESS_CAPTURES") or Path(__file__).parents[3] / "shared" / "captures")
BINANCE_SESSION = (CAPTURES / "binance" / "btcusdt_20240808.gz", CAPTURES / "binance" / "btcusdt_20240809.gz")
COINBASE_SESSION = (CAPTURES / "coinbase" / "COINBASE.ws.28.0.gz",)
BEGIN_NS: Final = 1_700_000_000_000_000_000


def binance(at_s: float, stream: str, **data: Any) -> bytes:
    return b"%d %b\n" % (BEGIN_NS + round(at_s * 1e9), msgspec.json.encode({"stream": stream, "data": data}))


def binance_trade(at_s: float, trade_id: int, price: str = "100.10000000", time_ms: int = 1_699_999_999_990) -> bytes:
    event: dict[str, Any] = {
        "e": "trade",
        "E": time_ms + 1,
        "s": "BTCUSDT",
        "t": trade_id,
        "p": price,
        "q": "0.50000000",
    }
    return binance(at_s, "btcusdt@trade", **event, T=time_ms, m=True, M=True)


def coinbase(at_s: float, **data: Any) -> bytes:
    return b"%f: %b\n" % (1_618_677_817 + at_s, msgspec.json.encode(data))


def coinbase_match(at_s: float, trade_id: int, price: str = "0.7903", kind: str = "match") -> bytes:
    return coinbase(
        at_s,
        type=kind,
        trade_id=trade_id,
        maker_order_id="m",
        taker_order_id="t",
        side="buy",
        size="18",
        price=price,
        product_id="SKL-USD",
        sequence=trade_id * 7,
        time="2021-04-17T16:44:06.654322Z",
    )


BINANCE_TRACE = (
    binance_trade(0.0, 501),
    binance(0.1, "btcusdt@bookTicker", u=1, s="BTCUSDT", b="99.9", B="1.0", a="100.1", A="1.0"),
    binance(0.2, "btcusdt@depth@100ms", e="depthUpdate", b=[["1", "2"]], a=[]),
    b'%d {"lastUpdateId":1,"bids":[["1","2"]],"asks":[]}\n' % (BEGIN_NS + 250_000_000),
    binance_trade(2.0, 502, "100.5"),
)
COINBASE_TRACE = (
    b"wss://feed.example <-> 1618677816.8434298\n",
    b'wss://feed.example <- 1618677817.02: {"type":"subscribe","product_ids":["SKL-USD"],"channels":["matches"]}\n',
    coinbase(0.1, type="subscriptions", channels=[]),
    coinbase_match(0.2, 500, kind="last_match"),
    coinbase_match(1.0, 501),
    coinbase(1.5, type="l2update", product_id="SKL-USD", changes=[]),
    b"\n",
    coinbase_match(3.0, 502, "0.79"),
)


def read(reader: CaptureReader, path: Path, *lines: bytes) -> tuple[RecordedTrade, ...]:
    path.write_bytes(gzip.compress(b"".join(lines)) if path.suffix == ".gz" else b"".join(lines))
    return read_capture(reader, path)


@pytest.mark.parametrize("name", ["trace.txt", "trace.gz"])
def test_binances_trades_keep_texts_ids_and_times(tmp_path: Path, name: str) -> None:
    first, second = read(BinanceSpot().capture_reader(), tmp_path / name, *BINANCE_TRACE)
    assert first == RecordedTrade(
        received_ns=BEGIN_NS,
        trade=VenueTrade(
            symbol="BTCUSDT",
            trade_id=501,
            price="100.10000000",
            amount="0.50000000",
            side="sell",
            time_ns=1_699_999_999_990_000_000,
            event_ns=1_699_999_999_991_000_000,
        ),
    )
    assert (second.trade.price, second.trade.bid, second.trade.ask) == ("100.5", "99.9", "100.1")


def test_coinbases_matches_keep_texts_ids_sequences_and_microseconds(tmp_path: Path) -> None:
    first, second = read(CoinbaseExchange().capture_reader(), tmp_path / "trace.gz", *COINBASE_TRACE)
    assert first == RecordedTrade(
        received_ns=1_618_677_818_000_000_000,
        trade=VenueTrade(
            symbol="SKL-USD",
            trade_id=501,
            price="0.7903",
            amount="18",
            side="sell",
            time_ns=1_618_677_846_654_322_000,
            sequence=3_507,
        ),
    )
    assert (second.trade.trade_id, second.received_ns - first.received_ns) == (502, 2_000_000_000)


def test_several_files_continue_one_another(tmp_path: Path) -> None:
    whole = read(BinanceSpot().capture_reader(), tmp_path / "all", *BINANCE_TRACE)
    for name, lines in (("1", BINANCE_TRACE[:2]), ("2.gz", BINANCE_TRACE[2:])):
        text = b"".join(lines)
        (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    assert read_capture(BinanceSpot().capture_reader(), tmp_path / "1", tmp_path / "2.gz") == whole


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ((), "found none"),
        (BINANCE_TRACE[1:3], "found none"),
        ((b"\n",), "line 1: expected <receive time in ns>"),
        ((BINANCE_TRACE[0], b"hello\n"), "line 2: expected <receive time in ns>"),
        ((BINANCE_TRACE[0][:-20],), "line 1: expected"),
        ((b"%d" % 2**63 + BINANCE_TRACE[0][19:],), "the line does not begin with a time"),
        ((b"1 " + b"[" * 100_000,), "line 1: expected"),
        ((binance_trade(0.0, 1, "free"),), "decimals above zero"),
        ((binance_trade(0.0, 1, "-1.0"),), "decimals above zero"),
        ((binance_trade(0.0, 1, "0.00"),), "decimals above zero"),
        ((binance_trade(0.0, 1, "1e5"),), "decimals above zero"),
        ((binance_trade(0.2, 1), binance_trade(0.1, 2)), "in the order received"),
        ((binance_trade(0.1, 7), binance_trade(0.2, 7)), "the ids of BTCUSDT are to rise; 7 follows 7"),
        ((binance_trade(0.1, 7), binance_trade(0.2, 8, time_ms=5)), "the times of BTCUSDT are not to fall"),
    ],
)
def test_a_broken_binance_capture_is_one_clear_error(tmp_path: Path, lines: tuple[bytes, ...], says: str) -> None:
    with pytest.raises(CaptureError) as refused:
        read(BinanceSpot().capture_reader(), tmp_path / "broken", *lines)
    assert says in str(refused.value)
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (COINBASE_TRACE[:4], "found none"),
        ((b"hello\n",), "the line begins neither with a time nor with a URL"),
        ((b"1.0: {}\n",), "line 1: expected <receive time in s>"),
        ((b'1.0: {"type":"match"}\n',), "line 1: expected <receive time in s>"),
        ((coinbase_match(0.0, 1).replace(b"2021-04-17T", b"yesterday"),), "line 1: expected"),
        ((coinbase_match(0.0, 1, "cheap"),), "decimals above zero"),
        ((coinbase_match(0.0, 1).replace(b'"side":"buy"', b'"side":"both"'),), "line 1: expected"),
    ],
)
def test_a_broken_coinbase_capture_is_one_clear_error(tmp_path: Path, lines: tuple[bytes, ...], says: str) -> None:
    with pytest.raises(CaptureError) as refused:
        read(CoinbaseExchange().capture_reader(), tmp_path / "broken", *lines)
    assert says in str(refused.value)


@pytest.mark.parametrize("spoil", [lambda packed: packed[: len(packed) // 2], lambda _: b"x"], ids=["cut", "no gzip"])
def test_a_spoilt_archive_is_one_clear_error(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "spoilt.gz"
    lines = b"".join(binance_trade(number, number + 1, f"{number * 7 % 113 + 1}.0") for number in range(500))
    path.write_bytes(spoil(gzip.compress(lines)))
    with pytest.raises(CaptureError, match=r"spoilt\.gz"):
        read_capture(BinanceSpot().capture_reader(), path)


async def test_a_replay_keeps_the_spacing_divided_by_the_speed(autojump_clock: MockClock, tmp_path: Path) -> None:
    trades = read(BinanceSpot().capture_reader(), tmp_path / "trace", *BINANCE_TRACE)
    assert duration_s(trades, 4.0) == 0.5
    async with simulated(BinanceSpot()) as world, world.dial("/ws/btcusdt@trade") as client:
        await trio.sleep(0.1)
        begin = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.venue.replay, trades, 4.0)
            first, second = await client.hear_many(2)
        assert trio.current_time() - begin == pytest.approx(0.5, abs=0.02)
        assert (first["t"], first["T"], first["E"]) == (501, 1_699_999_999_990, 1_699_999_999_991)
        assert (second["t"], second["p"]) == (502, "100.5")
        assert world.venue.trades("BTCUSDT") == tuple(each.trade for each in trades)


async def test_what_is_traded_in_a_downtime_is_in_the_history(autojump_clock: MockClock, tmp_path: Path) -> None:
    trades = read(BinanceSpot().capture_reader(), tmp_path / "trace", *BINANCE_TRACE)
    async with simulated(BinanceSpot()) as world:
        world.venue.restart(downtime_s=10.0)
        await world.venue.replay(trades)
        await trio.sleep(10.1)
        reply = await world.get("/api/v3/historicalTrades?symbol=BTCUSDT&fromId=501")
        assert [row["id"] for row in reply.json()] == [501, 502]


async def test_a_replay_that_cannot_happen_is_refused(autojump_clock: MockClock, tmp_path: Path) -> None:
    trades = read(BinanceSpot().capture_reader(), tmp_path / "trace", *BINANCE_TRACE)
    async with simulated(BinanceSpot(), symbols=("ETHUSDT",)) as world:
        with pytest.raises(KeyError, match="BTCUSDT"):
            await world.venue.replay(trades)
        with pytest.raises(ValueError, match="at least one trade"):
            await world.venue.replay(())
    async with simulated(BinanceSpot()) as world:
        for speed in (0.0, -1.0, float("nan"), float("inf")):
            with pytest.raises(ValueError, match="expected a positive number"):
                await world.venue.replay(trades, speed)
        world.venue.publish("BTCUSDT")
        with pytest.raises(ValueError, match="expected a number above 3735683259"):
            await world.venue.replay(trades)


def session(*files: Path) -> list[bytes]:
    """Every line of a recorded session; the test is skipped where it is not at hand."""
    if not all(file.exists() for file in files):
        pytest.skip(f"no recorded session in {CAPTURES}; set GAPLESS_CAPTURES to where it is")
    return [line for file in files for line in gzip.decompress(file.read_bytes()).splitlines()]


async def test_the_recorded_binance_session_is_said_again_byte_for_byte(autojump_clock: MockClock) -> None:
    """The frames of its first 2,000 trades as they were received, and all of its trades over REST."""
    lines = session(*BINANCE_SESSION)
    recorded = [line.partition(b" ")[2].decode() for line in lines if b'"stream":"btcusdt@trade"' in line]
    trades = read_capture(BinanceSpot().capture_reader(), *BINANCE_SESSION)
    assert len(trades) == len(recorded) == 19_904
    async with simulated(BinanceSpot()) as world, world.dial("/stream?streams=btcusdt@trade") as client:
        await trio.sleep(0.1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.venue.replay, trades, 20.0)
            heard = [await client.socket.get_message() for _ in range(2_000)]
            nursery.cancel_scope.cancel()
        assert heard == recorded[:2_000]
        for each in trades[len(world.venue.trades("BTCUSDT")) :]:
            world.venue.issue(each.trade)
        rows: list[dict[str, Any]] = []
        while page := (
            await world.get(f"/api/v3/historicalTrades?symbol=BTCUSDT&limit=1000&fromId={3_735_683_259 + len(rows)}")
        ).json():
            rows += page
        events = [msgspec.json.decode(text)["data"] for text in recorded]
        assert [(row["id"], row["price"], row["qty"], row["time"], row["isBuyerMaker"]) for row in rows] == [
            (each["t"], each["p"], each["q"], each["T"], each["m"]) for each in events
        ]
        assert max(each.used for each in world.venue.weight_log) <= 6_000


async def test_the_recorded_coinbase_session_is_said_again(autojump_clock: MockClock) -> None:
    lines = session(*COINBASE_SESSION)
    recorded = [msgspec.json.decode(line.partition(b": ")[2]) for line in lines if b'{"type":"match"' in line]
    trades = read_capture(CoinbaseExchange().capture_reader(), *COINBASE_SESSION)
    products = tuple(dict.fromkeys(each.trade.symbol for each in trades))
    assert len(trades) == len(recorded) == 97
    venue = CoinbaseExchange(options=CoinbaseOptions(rest_decimals=None))
    async with simulated(venue, symbols=products) as world, world.dial() as client:
        await client.say({"type": "subscribe", "product_ids": list(products), "channels": ["matches"]})
        await client.hear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.venue.replay, trades, 10.0)
            heard = await client.hear_many(97)
        said = [name for name in recorded[0] if not name.endswith("order_id")]
        assert [{name: each[name] for name in said} for each in heard] == [
            {name: each[name] for name in said} for each in recorded
        ]
        rows = (await world.get(f"/products/{products[0]}/trades")).json()
        assert [row["trade_id"] for row in rows] == [
            each["trade_id"] for each in reversed(recorded) if each["product_id"] == products[0]
        ]
