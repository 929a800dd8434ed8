"""What the exchange says on a WebSocket, heard by a trio-websocket client on virtual time."""

import re
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock
from trio_websocket import ConnectionClosed

from tests.simulator.conftest import BTC, ETH, named, served


async def test_welcome_comes_first_and_names_session_and_epoch(autojump_clock: MockClock) -> None:
    async with served() as world, world.dial("alice") as client:
        welcome = await client.hear()
        assert welcome == {
            "type": "WELCOME",
            "session_id": "alice",
            "epoch": world.exchange.epoch,
            "server_time": welcome["server_time"],
        }
        assert re.fullmatch(r"2026-01-01T00:00:00\.\d{3}Z", welcome["server_time"])


async def test_a_client_without_a_session_id_is_given_one(autojump_clock: MockClock) -> None:
    async with served() as world, world.dial(target="/ws") as first, world.dial(target="/ws?session_id=") as second:
        given = [(await client.hear())["session_id"] for client in (first, second)]
        assert all(given)
        assert len(set(given)) == 2


async def test_a_session_may_have_two_connections_at_once(autojump_clock: MockClock) -> None:
    """A client that rotates its socket dials the next one before it lets go of the first."""
    async with served() as world, world.welcomed("a") as first, world.welcomed("a") as second:
        await first.subscribe(BTC)
        world.publish(2)
        answer = await second.subscribe(BTC)
        assert answer["streams"][0]["sequence_id"] == 2
        world.publish(1)
        assert await first.ids(3) == [1, 2, 3]
        assert await second.ids(1) == [3]


async def test_ids_count_from_one_and_each_message_has_the_protocols_fields(autojump_clock: MockClock) -> None:
    async with served() as world, world.welcomed() as client:
        assert await client.subscribe(BTC) == {
            "type": "SUBSCRIBED",
            "request_id": "s-1",
            "streams": [{"channel": "ticker", "symbol": "BTC/USD", "sequence_id": 0}],
        }
        world.exchange.publish("ticker", "BTC/USD", price=50_000.0, bid=49_999.0, ask=50_001.0, volume_24h=1_000.0)
        world.publish(2)
        first, second, third = await client.hear_many(3)
        assert first == {
            "type": "MARKET_DATA",
            "channel": "ticker",
            "symbol": "BTC/USD",
            "sequence_id": 1,
            "timestamp": first["timestamp"],
            "price": 50_000.0,
            "bid": 49_999.0,
            "ask": 50_001.0,
            "volume_24h": 1_000.0,
        }
        assert [second["sequence_id"], third["sequence_id"]] == [2, 3]
        assert second["bid"] < second["price"] < second["ask"]


async def test_the_mark_is_the_last_id_issued_before(autojump_clock: MockClock) -> None:
    async with served() as world, world.welcomed() as client:
        world.publish(41)
        answer = await client.subscribe(BTC, ETH)
        assert [stream["sequence_id"] for stream in answer["streams"]] == [41, 0]
        world.publish(1)
        assert await client.ids(1) == [42]


async def test_nothing_is_lost_or_doubled_between_mark_and_stream(autojump_clock: MockClock) -> None:
    """A busy market, a subscription in the middle of it: what is heard continues the mark without a hole."""
    async with served(rate_per_s=1_000.0) as world:
        for _ in range(5):
            await trio.sleep(0.0137)
            async with world.welcomed() as client:
                answer = await client.subscribe(BTC)
                mark = answer["streams"][0]["sequence_id"]
                assert await client.ids(20) == list(range(mark + 1, mark + 21))


async def test_a_repeated_subscribe_returns_the_mark_and_changes_nothing(autojump_clock: MockClock) -> None:
    async with served() as world, world.welcomed() as client:
        world.publish(3)
        await client.subscribe(BTC)
        world.publish(2)
        assert await client.ids(2) == [4, 5]
        again = await client.subscribe(BTC, request_id="s-2")
        assert again["streams"] == [{"channel": "ticker", "symbol": "BTC/USD", "sequence_id": 3}]
        world.publish(1)
        assert await client.ids(1) == [6]
        assert await client.hears_nothing()
        assert len(world.exchange.subscriptions) == 1


async def test_subscribed_and_rejected_name_each_stream_once(autojump_clock: MockClock) -> None:
    async with served() as world, world.welcomed() as client:
        answer = await client.subscribe(BTC, "ticker:XXX", BTC, "candles:BTC/USD", "orders:*", "orders:BTC/USD")
        assert [s["channel"] for s in answer["streams"]] == ["ticker", "orders"]
        rejected = await client.hear_many(3)
        assert {message["type"] for message in rejected} == {"REJECTED"}
        assert {message["request_id"] for message in rejected} == {"s-1"}
        assert [(m["code"], m["streams"]) for m in rejected] == [
            ("unknown_symbol", named("ticker:XXX")),
            ("unknown_channel", named("candles:BTC/USD")),
            ("unknown_symbol", named("orders:BTC/USD")),
        ]
        assert await client.hears_nothing()


async def test_a_request_refused_as_a_whole_is_only_rejected(autojump_clock: MockClock) -> None:
    async with served() as world, world.welcomed() as client:
        answer = await client.subscribe("ticker:XXX")
        assert answer["type"] == "REJECTED"
        assert "XXX" in answer["message"]
        assert await client.hears_nothing()


async def test_a_connection_may_subscribe_only_so_many_streams(autojump_clock: MockClock) -> None:
    async with served(streams_max=1) as world, world.welcomed() as client:
        answer = await client.subscribe(BTC, ETH)
        assert answer["streams"] == [{"channel": "ticker", "symbol": "BTC/USD", "sequence_id": 0}]
        assert (await client.hear())["code"] == "too_many_streams"
        assert (await client.subscribe(BTC))["type"] == "SUBSCRIBED"


async def test_unsubscribe_ends_the_stream_and_subscribing_again_starts_anew(autojump_clock: MockClock) -> None:
    async with served() as world, world.welcomed() as client:
        await client.subscribe(BTC)
        await client.say({"type": "UNSUBSCRIBE", "request_id": "u-1", "streams": named(BTC, ETH, "ticker:XXX")})
        ended, rejected = await client.hear_many(2)
        assert (ended["type"], ended["request_id"]) == ("UNSUBSCRIBED", "u-1")
        assert [s["symbol"] for s in ended["streams"]] == ["BTC/USD", "ETH/USD"]
        assert rejected["type"] == "REJECTED"
        world.publish(5)
        assert await client.hears_nothing()
        answer = await client.subscribe(BTC)
        assert answer["streams"][0]["sequence_id"] == 5
        assert [record.mark for record in world.exchange.subscriptions] == [0, 5]


async def test_ping_is_answered_with_its_id(autojump_clock: MockClock) -> None:
    async with served() as world, world.welcomed() as client:
        await client.ping("p-77")
        pong = await client.hear()
        assert pong == {"type": "PONG", "request_id": "p-77", "server_time": pong["server_time"]}


async def test_ids_are_issued_whether_or_not_anyone_listens(autojump_clock: MockClock) -> None:
    async with served(rate_per_s=10.0, symbols=("BTC/USD",), channels=("ticker",)) as world:
        await trio.sleep(60.05)
        assert world.exchange.last_id("ticker", "BTC/USD") == 600


async def test_the_generator_spreads_its_streams_evenly(autojump_clock: MockClock) -> None:
    async with served(rate_per_s=10.0, channels=("ticker",)) as world, world.welcomed() as client:
        await client.subscribe(BTC, ETH)
        times: list[float] = []
        symbols: list[str] = []
        for _ in range(8):
            symbols.append((await client.hear())["symbol"])
            times.append(trio.current_time())
        assert symbols[0::2] == [symbols[0]] * 4
        assert symbols[1::2] == [symbols[1]] * 4
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert gaps == pytest.approx([0.05] * 7)


async def test_the_same_seed_gives_the_same_market(autojump_clock: MockClock) -> None:
    async def prices(seed: int) -> list[float]:
        async with served(seed=seed) as world:
            world.publish(50)
            return [point.price for point in world.exchange.get_price_history("BTC/USD")]

    assert await prices(1) == await prices(1)
    assert await prices(1) != await prices(2)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[]",
        "null",
        "{}",
        '{"type":"DANCE"}',
        '{"type":"SUBSCRIBE"}',
        '{"type":"SUBSCRIBE","streams":[{"channel":"ticker"}]}',
        '{"type":"SUBSCRIBE","streams":"ticker"}',
        '{"type":"PING","request_id":{}}',
        '{"type":"PING","x":' + "[" * 25_000,
        '{"type":"PING","x":' + "[" * 25_000 + "]" * 25_000 + "}",
        b'{"type":"PING"}',
        "{{}} {0} %s",
    ],
    ids=lambda sent: repr(sent[:24]),
)
async def test_what_is_not_understood_is_counted_and_skipped(autojump_clock: MockClock, text: str | bytes) -> None:
    async with served() as world, world.welcomed() as client:
        await client.socket.send_message(text)
        await client.ping()
        assert (await client.hear())["type"] == "PONG"
        assert world.exchange.ignored == 1


async def test_unknown_fields_are_ignored(autojump_clock: MockClock) -> None:
    async with served() as world, world.welcomed() as client:
        await client.say({"type": "PING", "request_id": 7, "mood": {"good": True}})
        assert (await client.hear())["request_id"] == 7
        assert world.exchange.ignored == 0


async def test_a_message_too_long_closes_its_connection_and_no_other(autojump_clock: MockClock) -> None:
    async with served(message_bytes_max=1_000) as world, world.welcomed("a") as client, world.welcomed("b") as other:
        await client.socket.send_message("x" * 2_000)
        with pytest.raises(ConnectionClosed, match="1009"):
            await client.hear()
        await other.ping()
        assert (await other.hear())["type"] == "PONG"


async def test_another_path_is_not_found(autojump_clock: MockClock) -> None:
    async with served() as world:
        assert (await world.rejection(target="/feed?session_id=a")).status_code == 404


async def test_a_session_id_without_measure_is_refused(autojump_clock: MockClock) -> None:
    async with served() as world:
        assert (await world.rejection("x" * 200)).status_code == 400
        assert (await world.rejection("a\tb")).status_code == 400
