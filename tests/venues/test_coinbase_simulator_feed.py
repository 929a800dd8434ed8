"""What the simulated Coinbase Exchange says on its feed, heard by a trio-websocket client on virtual time."""

import uuid
from itertools import pairwise
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gapless.simulator import FailuresConfig, RejectMode
from gapless.simulator.venues import CoinbaseExchange, CoinbaseLimits, CoinbaseOptions
from tests.simulator.conftest import WALL_BEGIN_S, Client
from tests.venues.simulator_kit import ADDRESS, simulated

BTC, ETH = "BTC-USD", "ETH-USD"
FIRST = 881_614


def wish(*products: str, channels: tuple[object, ...] = ("matches",), kind: str = "subscribe") -> dict[str, object]:
    return {"type": kind, "product_ids": list(products), "channels": list(channels)}


async def subscribed(client: Client, *products: str, channels: tuple[object, ...] = ("matches",)) -> dict[str, Any]:
    await client.say(wish(*products, channels=channels))
    return await client.hear()


async def test_a_match_has_the_fields_of_the_documentation_in_their_order(autojump_clock: MockClock) -> None:
    async with simulated(CoinbaseExchange()) as world, world.dial() as client:
        assert await subscribed(client, BTC) == {
            "type": "subscriptions",
            "channels": [{"name": "matches", "product_ids": [BTC]}],
        }
        issued = world.venue.publish(BTC, price="0.7903", amount="18", side="sell")
        message = await client.hear()
        assert list(message) == [
            "type",
            "trade_id",
            "maker_order_id",
            "taker_order_id",
            "side",
            "size",
            "price",
            "product_id",
            "sequence",
            "time",
        ]
        assert (message["type"], message["trade_id"], message["product_id"]) == ("match", FIRST, BTC)
        assert (message["size"], message["price"]) == ("18", "0.7903")
        assert message["side"] == "buy", "the maker's: the taker sold"
        assert message["sequence"] == issued.sequence
        assert uuid.UUID(message["maker_order_id"]) != uuid.UUID(message["taker_order_id"])
        assert message["time"] == f"2026-01-01T00:00:00.{issued.time_ns // 1_000 % 1_000_000:06d}Z"
        assert issued.time_ns // 10**9 == WALL_BEGIN_S


async def test_trade_ids_are_contiguous_and_sequences_are_not(autojump_clock: MockClock) -> None:
    async with simulated(CoinbaseExchange()) as world, world.dial() as client:
        await subscribed(client, BTC)
        world.publish(50, BTC)
        heard = await client.hear_many(50)
        assert [each["trade_id"] for each in heard] == list(range(FIRST, FIRST + 50))
        steps = [later["sequence"] - earlier["sequence"] for earlier, later in pairwise(heard)]
        assert min(steps) >= 1
        assert max(steps) > 1


async def test_the_last_match_comes_behind_the_acknowledgement(autojump_clock: MockClock) -> None:
    async with simulated(CoinbaseExchange()) as world, world.dial() as client:
        world.publish(3, BTC)
        assert (await subscribed(client, BTC, ETH))["type"] == "subscriptions"
        last = await client.hear()
        assert (last["type"], last["trade_id"], last["product_id"]) == ("last_match", FIRST + 2, BTC)
        world.publish(1, BTC)
        live = await client.hear()
        assert (live["type"], live["trade_id"]) == ("match", FIRST + 3)
        assert [(each.symbol, each.mark) for each in world.venue.subscriptions] == [(BTC, FIRST + 2), (ETH, 0)]


async def test_or_among_the_last_matches_as_recorded(autojump_clock: MockClock) -> None:
    venue = CoinbaseExchange(options=CoinbaseOptions(acknowledge="among"))
    async with simulated(venue) as world, world.dial() as client:
        world.publish(1, BTC)
        world.publish(1, ETH)
        await client.say(wish(BTC, ETH))
        kinds = [each["type"] for each in await client.hear_many(3)]
        assert kinds == ["last_match", "subscriptions", "last_match"]


async def test_nothing_is_lost_or_doubled_around_a_subscription(autojump_clock: MockClock) -> None:
    async with simulated(CoinbaseExchange(), rate_per_s=500.0, symbols=(BTC,)) as world, world.dial() as client:
        await trio.sleep(0.5)
        assert (await subscribed(client, BTC))["type"] == "subscriptions"
        heard = await client.hear_many(50)
        assert [each["type"] for each in heard] == ["last_match"] + ["match"] * 49
        ids = [each["trade_id"] for each in heard]
        assert ids == list(range(ids[0], ids[0] + 50))


async def test_an_acknowledgement_lists_all_that_is_subscribed(autojump_clock: MockClock) -> None:
    async with simulated(CoinbaseExchange()) as world, world.dial() as client:
        await subscribed(client, BTC)
        answer = await subscribed(client, channels=({"name": "heartbeat", "product_ids": [BTC, ETH]},))
        assert answer["channels"] == [
            {"name": "matches", "product_ids": [BTC]},
            {"name": "heartbeat", "product_ids": [BTC, ETH]},
        ]
        await client.say(wish(BTC, channels=("heartbeat",), kind="unsubscribe"))
        assert (await client.hear())["channels"] == [
            {"name": "matches", "product_ids": [BTC]},
            {"name": "heartbeat", "product_ids": [ETH]},
        ]
        await client.say(wish(channels=("matches",), kind="unsubscribe"))
        assert (await client.hear())["channels"] == [{"name": "heartbeat", "product_ids": [ETH]}]
        await client.say({"type": "unsubscribe", "product_ids": [ETH]})
        assert await client.hear() == {"type": "subscriptions", "channels": []}
        world.publish(1, BTC)
        assert await client.hears_nothing(2.0)


async def test_heartbeats_tell_how_far_each_product_has_come(autojump_clock: MockClock) -> None:
    async with simulated(CoinbaseExchange(), symbols=(BTC, ETH, "SOL-USD")) as world, world.dial() as client:
        world.publish(4, BTC)
        world.publish(1, ETH)
        await subscribed(client, BTC, ETH, "SOL-USD", channels=("heartbeat",))
        begin = trio.current_time()
        heard = await client.hear_many(4)
        assert trio.current_time() - begin == pytest.approx(2.0, abs=0.1), "one a second and product"
        assert list(heard[0]) == ["type", "sequence", "last_trade_id", "product_id", "time"]
        marks = [(symbol, world.venue.trades(symbol)[-1]) for symbol in (BTC, ETH)]
        assert [(each["product_id"], each["last_trade_id"], each["sequence"]) for each in heard] == [
            (symbol, last.trade_id, last.sequence) for symbol, last in marks
        ] * 2, "what was never traded has no mark"


async def test_who_subscribes_nothing_within_five_seconds_is_cut(autojump_clock: MockClock) -> None:
    async with simulated(CoinbaseExchange()) as world, world.dial() as client:
        await trio.sleep(4.0)
        await client.say(wish("NO-SUCH"))
        assert (await client.hear())["type"] == "error"
        assert world.venue.hub.sessions
        await trio.sleep(1.2)
        assert not world.venue.hub.sessions, "a refused subscription is none"
        assert await client.is_dropped()


async def test_who_has_subscribed_may_stay(autojump_clock: MockClock) -> None:
    async with simulated(CoinbaseExchange()) as world, world.dial() as client:
        await subscribed(client, BTC)
        await trio.sleep(600)
        world.publish(1, BTC)
        assert (await client.hear())["trade_id"] == FIRST


@pytest.mark.parametrize(
    ("said", "message", "reason"),
    [
        ("hello", "Malformed JSON", ""),
        ("[" * 5_000, "Malformed JSON", ""),
        ("[]", "Type has to be either subscribe or unsubscribe", ""),
        ('{"type":"shout"}', "Type has to be either subscribe or unsubscribe", ""),
        ('{"type":"subscribe"}', "Failed to subscribe", "expected channels as a list"),
        ('{"type":"subscribe","channels":["matches"]}', "Failed to subscribe", "expected product_ids for the channels"),
        (
            '{"type":"subscribe","product_ids":["XXX"],"channels":["matches"]}',
            "Failed to subscribe",
            "XXX is not a valid product",
        ),
        (
            '{"type":"subscribe","product_ids":["BTC-USD","XXX"],"channels":["matches"]}',
            "Failed to subscribe",
            "XXX is not a valid product",
        ),
        (
            '{"type":"subscribe","product_ids":["BTC-USD"],"channels":["nosuch"]}',
            "Failed to subscribe",
            "nosuch is not a valid channel",
        ),
        (
            '{"type":"subscribe","product_ids":["BTC-USD"],"channels":[7]}',
            "Failed to subscribe",
            "7 is not a valid channel",
        ),
        (
            '{"type":"unsubscribe","product_ids":7,"channels":["matches"]}',
            "Failed to unsubscribe",
            "expected product_ids as a list of texts",
        ),
    ],
)
async def test_what_is_not_understood_is_answered_and_nothing_is_done(
    autojump_clock: MockClock, said: str, message: str, reason: str
) -> None:
    async with simulated(CoinbaseExchange()) as world, world.dial() as client:
        await client.socket.send_message(said)
        expected = {"type": "error", "message": message} | ({"reason": reason} if reason else {})
        assert await client.hear() == expected
        assert not world.venue.subscriptions


async def test_a_channel_without_data_here_is_subscribed_and_silent(autojump_clock: MockClock) -> None:
    async with simulated(CoinbaseExchange()) as world, world.dial() as client:
        answer = await subscribed(client, BTC, channels=("ticker", "level2"))
        assert [each["name"] for each in answer["channels"]] == ["ticker", "level2"]
        world.publish(1, BTC)
        assert await client.hears_nothing(2.0)


async def test_a_rejected_product_is_an_error_of_the_venues_form(autojump_clock: MockClock) -> None:
    async with simulated(CoinbaseExchange()) as world, world.dial() as client:
        world.venue.failures.set(FailuresConfig(reject=RejectMode(enabled=True, symbols=(BTC,), count=1)))
        refused = await subscribed(client, BTC)
        assert (refused["type"], refused["message"]) == ("error", "Failed to subscribe")
        assert (await subscribed(client, BTC))["type"] == "subscriptions"


async def test_twenty_messages_at_once_and_the_next_is_an_error_and_the_end(autojump_clock: MockClock) -> None:
    async with simulated(CoinbaseExchange()) as world, world.dial() as client:
        for _ in range(20):
            await client.say(wish(BTC))
        assert {each["type"] for each in await client.hear_many(20)} == {"subscriptions"}
        assert not world.venue.violations
        await client.say(wish(BTC))
        assert (await client.hear())["type"] == "error"
        assert await client.is_dropped()
        assert [(each.kind, each.address) for each in world.venue.violations] == [("messages", ADDRESS)]


async def test_eight_messages_a_second_are_always_heard(autojump_clock: MockClock) -> None:
    async with simulated(CoinbaseExchange()) as world, world.dial() as client:
        for _ in range(100):
            assert (await subscribed(client, BTC))["type"] == "subscriptions"
            await trio.sleep(0.125)
        assert not world.venue.violations


async def test_connections_come_at_a_measured_rate(autojump_clock: MockClock) -> None:
    venue = CoinbaseExchange(CoinbaseLimits(connects_per_s=1.0, connects_burst=2))
    async with simulated(venue) as world:
        async with world.dial(), world.dial():
            assert (await world.rejection()).status_code == 429
        await trio.sleep(1.0)
        async with world.dial():
            pass
        assert [each.kind for each in world.venue.violations] == ["connects"]


async def test_there_is_one_path(autojump_clock: MockClock) -> None:
    async with simulated(CoinbaseExchange()) as world:
        assert world.endpoints.ws_url.endswith("/")
        assert (await world.rejection("/ws")).status_code == 404


async def test_no_word_announces_a_close(autojump_clock: MockClock) -> None:
    async with simulated(CoinbaseExchange()) as world, world.dial() as client:
        await subscribed(client, BTC)
        assert world.venue.goodbye() == 1
        assert await client.is_dropped()
