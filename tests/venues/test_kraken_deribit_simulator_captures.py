"""Recorded frames and pages of Kraken and Deribit, where they are at hand: what the simulators write has their form."""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gapless.simulator.venues import Deribit, KrakenOptions, KrakenSpot, Side, VenueTrade
from tests.simulator.conftest import Client
from tests.venues.simulator_kit import VenueWorld, simulated

CAPTURES = Path(os.environ.get("GAPLESS_CAPTURES") or Path(__file__).parents[3] / "shared" / "captures")
OPTIONAL = {"combo_trade_id", "id"}
"""What only some recorded trades have, and the id that HTTP echoes where one was sent."""


def text_of(name: str) -> str:
    file = CAPTURES / name
    if not file.exists():
        pytest.skip(f"no capture: {file} is absent")
    return file.read_text()


def recorded(name: str) -> Any:
    return msgspec.json.decode(text_of(name))


def exact(name: str) -> Any:
    """The same, with each fraction as the text that stands in the file."""
    return msgspec.json.Decoder(float_hook=str).decode(text_of(name))


def shape(value: Any) -> Any:
    """Names and types, without what is optional; of a list the shape of its first element."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items() if name not in OPTIONAL}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value)


async def said(client: Client, message: dict[str, object]) -> None:
    await client.say(message)


async def kraken_subscribed(client: Client, channel: str = "trade", req_id: int = 1, **params: object) -> Any:
    await client.hear()
    wish: dict[str, object] = {"channel": channel, "symbol": ["BTC/USD"], **params}
    await client.say({"method": "subscribe", "params": wish, "req_id": req_id})
    return await client.hear()


def nanoseconds(text: str) -> int:
    whole, _, fraction = text.partition(".")
    return int(whole) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9])


# --- Kraken ---------------------------------------------------------------------------------------------------------


async def test_krakens_trades_said_again_are_the_recorded_ones_digit_for_digit(autojump_clock: MockClock) -> None:
    name = "kraken/ws_trade_update.json"
    frame, digits = recorded(name), exact(name)["data"]
    venue = KrakenSpot(options=KrakenOptions(absent_share=0.0))
    async with simulated(venue, symbols=("BTC/USD",)) as world, world.dial() as client:
        await kraken_subscribed(client)
        for at, each in enumerate(digits):
            issue(world, each["side"], 10**18 + at, "BTC/USD", each["trade_id"], each["price"], each["qty"])
        text = str(await client.socket.get_message())
        message = msgspec.json.decode(text)
        assert shape(message) == shape(frame)
        assert list(message) == list(frame)
        assert [list(each) for each in message["data"]] == [list(each) for each in frame["data"]]
        for each in digits:
            assert f'"price":{each["price"]},"qty":{each["qty"]},' in text
        untold = {"timestamp": None, "ord_type": None}
        assert [each | untold for each in message["data"]] == [each | untold for each in frame["data"]]


async def test_krakens_answers_have_the_recorded_fields(autojump_clock: MockClock) -> None:
    async with simulated(KrakenSpot()) as world, world.dial() as client:
        acknowledged = await kraken_subscribed(client, "ticker", snapshot=True)
        expected = recorded("kraken/ws_subscribe_response.json")
        times = {"time_in": "", "time_out": ""}
        assert list(acknowledged) == list(expected)
        assert acknowledged | times == expected | times
        await said(client, {"method": "ping", "req_id": 42})
        pong, expected = await client.hear(), recorded("kraken/ws_pong.json")
        assert list(pong) == list(expected)
        assert pong | times == expected | times
        assert len(pong["time_in"]) == len("2023-09-25T09:05:00.123456Z")


async def test_a_page_of_kraken_said_again_is_the_recorded_one(autojump_clock: MockClock) -> None:
    page = exact("kraken/http_trades.json")
    (key,) = set(page["result"]) - {"last"}
    rows, last = page["result"][key], int(page["result"]["last"])
    sides: dict[str, Side] = {"b": "buy", "s": "sell"}
    async with simulated(KrakenSpot(), symbols=("BTC/USDT",)) as world:
        for at, (price, volume, time, side, _, _, trade_id) in enumerate(rows):
            time_ns = last if at == len(rows) - 1 else nanoseconds(time)
            issue(world, sides[side], time_ns, "BTC/USDT", trade_id, price, volume)
        shown = (await world.get("/0/public/Trades", pair="XBTUSDT", since=0)).json()
        assert shape(shown) == shape(recorded("kraken/http_trades.json"))
        assert shown["result"]["last"] == page["result"]["last"]
        without_type = [[*row[:4], "", *row[5:]] for row in shown["result"][key]]
        again = [[*row[:4], "", *row[5:]] for row in recorded("kraken/http_trades.json")["result"][key]]
        assert without_type == again, "prices, volumes, times, sides and ids"


# --- Deribit --------------------------------------------------------------------------------------------------------


async def test_deribits_trades_said_again_are_the_recorded_ones_digit_for_digit(autojump_clock: MockClock) -> None:
    name = "deribit/ws_trades.json"
    frame, digits = recorded(name), exact(name)["params"]["data"]
    async with simulated(Deribit(), symbols=("BTC-PERPETUAL",)) as world, world.dial() as client:
        wish = {"channels": ["trades.BTC-PERPETUAL.100ms"]}
        await said(client, {"jsonrpc": "2.0", "id": 1, "method": "public/subscribe", "params": wish})
        await client.hear()
        for each in digits:
            deribit_issue(world, each)
        message = await client.hear()
        assert shape(message) == shape(frame)
        told = {"timestamp", "price", "amount", "direction", "instrument_name", "trade_seq", "contracts", "trade_id"}
        assert [{name: each[name] for name in told} for each in message["params"]["data"]] == [
            {name: each[name] for name in told} for each in frame["params"]["data"]
        ]
        assert [[name for name in each if name not in OPTIONAL] for each in frame["params"]["data"]] == [
            list(each) for each in message["params"]["data"]
        ], "in their order"


async def test_deribits_answers_have_the_recorded_fields(autojump_clock: MockClock) -> None:
    async with simulated(Deribit()) as world, world.dial() as client:
        expected = recorded("deribit/ws_subscribe_response.json")
        wish = {"channels": expected["result"]}
        await said(client, {"jsonrpc": "2.0", "id": 1, "method": "public/subscribe", "params": wish})
        answer = await client.hear()
        assert (shape(answer), answer["result"]) == (shape(expected), expected["result"])
        await said(client, {"jsonrpc": "2.0", "id": 2, "method": "public/set_heartbeat", "params": {"interval": 10}})
        await client.hear()
        await trio.sleep(10)
        assert (await client.hear_many(2))[1] == recorded("deribit/ws_test_request.json")
        for _ in range(200):
            await said(client, {"jsonrpc": "2.0", "id": 1, "method": "public/test", "params": {}})
        answer = await client.hear()
        while "error" not in answer:
            answer = await client.hear()
        assert answer == recorded("deribit/ws_error.json")


async def test_a_page_of_deribit_said_again_is_the_recorded_one(autojump_clock: MockClock) -> None:
    name = "deribit/http_get_last_trades.json"
    page, digits = recorded(name), exact(name)["result"]["trades"]
    async with simulated(Deribit(), symbols=("ETH-PERPETUAL",)) as world:
        for each in digits:
            deribit_issue(world, each)
        query = {"instrument_name": "ETH-PERPETUAL", "start_seq": digits[0]["trade_seq"], "sorting": "asc"}
        shown = (await world.get("/api/v2/public/get_last_trades_by_instrument", **query)).json()
        assert shape(shown) == shape(page)
        told = ("timestamp", "price", "amount", "direction", "instrument_name", "trade_seq", "contracts")
        assert [[each[name] for name in told] for each in shown["result"]["trades"]] == [
            [each[name] for name in told] for each in page["result"]["trades"]
        ]


def deribit_issue(world: VenueWorld, entry: dict[str, Any]) -> None:
    named = (entry["instrument_name"], entry["trade_seq"], entry["price"], entry["amount"])
    issue(world, entry["direction"], entry["timestamp"] * 1_000_000, *named)


def issue(world: VenueWorld, side: Side, time_ns: int, *named: Any) -> None:
    """Let a recorded trade happen: symbol, number, price and amount."""
    symbol, number, price, amount = named
    trade = VenueTrade(symbol=symbol, trade_id=number, price=price, amount=amount, side=side, time_ns=time_ns)
    world.venue.issue(trade)
