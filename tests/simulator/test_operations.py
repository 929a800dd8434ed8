"""What a test may do to an exchange: restart it, say goodbye, change orders and balances, check what it issued."""

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gapless.simulator import ExchangeSimulator, SimulatorConfig, StreamKey, serve_exchange
from gapless.simulator.network import Direction, VirtualNetwork
from tests.simulator.conftest import BTC, World, ended, served


async def test_a_restart_drops_everyone_and_begins_a_new_epoch(autojump_clock: MockClock) -> None:
    async with served() as world:
        async with world.welcomed() as client:
            await client.subscribe(BTC)
            world.publish(5)
            left = world.exchange.epoch
            entered = world.exchange.restart()
            assert entered != left
            assert await client.is_dropped()
        async with world.dial() as client:
            assert (await client.hear())["epoch"] == entered
            answer = await client.subscribe(BTC)
            assert answer["streams"][0]["sequence_id"] == 0
            world.publish(1)
            assert await client.ids(1) == [1]
        assert world.exchange.issued.epochs == (left, entered)
        assert world.exchange.issued.last_id(left, "ticker", "BTC/USD") == 5
        assert world.exchange.issued.last_id(entered, "ticker", "BTC/USD") == 1


async def test_connections_are_refused_while_the_exchange_is_down(autojump_clock: MockClock) -> None:
    async with served(rate_per_s=10.0) as world:
        await trio.sleep(1)
        world.exchange.restart(downtime_s=3.0)
        await trio.sleep(1)
        for url in (world.endpoints.ws_url, world.endpoints.rest_url):
            with pytest.raises(OSError, match="all attempts"):
                async with world.tcp(url):
                    pytest.fail("the connection was accepted")
        assert world.exchange.last_id("ticker", "BTC/USD") == 0
        await trio.sleep(2.5)
        async with world.welcomed() as client, world.rest() as rest:
            assert (await client.subscribe(BTC))["type"] == "SUBSCRIBED"
            assert await client.hear()
            assert (await rest.get("/api/v1/orders")).status_code == 200


async def test_a_restart_within_a_downtime_extends_it(autojump_clock: MockClock) -> None:
    async with served() as world:
        world.exchange.restart(downtime_s=2.0)
        await trio.sleep(1)
        world.exchange.restart(downtime_s=4.0)
        await trio.sleep(3)
        assert world.exchange.is_down
        await trio.sleep(2)
        async with world.welcomed():
            pass


async def test_a_handshake_under_way_does_not_survive_a_restart(autojump_clock: MockClock) -> None:
    async with served() as world, world.tcp(world.endpoints.ws_url) as stream:
        await stream.send_all(b"GET /ws HTTP/1.1\r\nHost: x\r\n")
        await trio.sleep(1)
        world.exchange.restart()
        with trio.fail_after(1):
            assert await ended(stream)


async def test_goodbye_is_heard_before_the_connection_ends(autojump_clock: MockClock) -> None:
    async with served() as world, world.welcomed("a") as client, world.welcomed("b") as other:
        await client.subscribe(BTC)
        world.publish(2)
        assert world.exchange.goodbye("maintenance", 5.0, session_id="a") == 1
        assert await client.ids(2) == [1, 2]
        assert await client.hear() == {"type": "GOODBYE", "reason": "maintenance", "retry_after_s": 5.0}
        with trio.fail_after(0.5):  # behind the message, not when the last moment has come
            assert await client.is_dropped()
        await other.ping()
        assert (await other.hear())["type"] == "PONG"


async def test_goodbye_does_not_wait_for_a_client_that_takes_nothing(autojump_clock: MockClock) -> None:
    async with served() as world, world.welcomed() as client:
        await client.subscribe(BTC)
        world.network.black_hole(Direction.TO_CLIENT)
        world.publish(2_000)
        world.exchange.goodbye("maintenance")
        await trio.sleep(1.5)
        assert not world.exchange.hub.sessions
        world.network.heal()


async def test_orders_and_balances_are_pushed_with_ids_of_their_own(autojump_clock: MockClock) -> None:
    async with served() as world, world.welcomed() as client:
        await client.subscribe("orders:*", "balance:*")
        order = world.exchange.place_order("BTC/USD", "buy", 1.0, 50_000.0)
        world.exchange.fill_order(order.order_id, 0.25)
        world.exchange.set_balance("USD", 1_000.0)
        world.exchange.fill_order(order.order_id)
        placed, part, balance, filled = await client.hear_many(4)
        assert placed["type"] == "ORDER_UPDATE"
        assert placed["order"] == {
            "order_id": "o-1",
            "symbol": "BTC/USD",
            "side": "buy",
            "type": "limit",
            "quantity": 1.0,
            "price": 50_000.0,
            "filled": 0.0,
            "status": "open",
            "updated_at": placed["order"]["updated_at"],
        }
        assert [m["sequence_id"] for m in (placed, part, filled)] == [1, 2, 3]
        assert (part["order"]["filled"], part["order"]["status"]) == (0.25, "partially_filled")
        assert (filled["order"]["filled"], filled["order"]["status"]) == (1.0, "filled")
        assert balance == {
            "type": "BALANCE_UPDATE",
            "sequence_id": 1,
            "balance": {"asset": "USD", "free": 1_000.0, "locked": 0.0},
        }


async def test_an_order_that_is_done_can_not_change(autojump_clock: MockClock) -> None:
    async with served() as world:
        order = world.exchange.place_order("BTC/USD", "sell", 1.0, 50_000.0, "market")
        with pytest.raises(ValueError, match=r"has 1\.0 left to fill"):
            world.exchange.fill_order(order.order_id, 2.0)
        assert world.exchange.cancel_order(order.order_id).status == "cancelled"
        with pytest.raises(ValueError, match="cancelled; expected an open order"):
            world.exchange.fill_order(order.order_id)
        with pytest.raises(LookupError, match="no order 'o-9'"):
            world.exchange.cancel_order("o-9")
        with pytest.raises(ValueError, match="positive"):
            world.exchange.place_order("BTC/USD", "buy", 0.0, 1.0)


async def test_account_activity_by_itself(autojump_clock: MockClock) -> None:
    async with served(account_rate_per_s=2.0) as world, world.welcomed() as client:
        await client.subscribe("orders:*", "balance:*")
        heard = await client.hear_many(400)
        for kind in ("ORDER_UPDATE", "BALANCE_UPDATE"):
            ids = [message["sequence_id"] for message in heard if message["type"] == kind]
            assert ids == list(range(1, len(ids) + 1))
            assert len(ids) >= 100
        statuses = {m["order"]["status"] for m in heard if m["type"] == "ORDER_UPDATE"}
        assert statuses == {"open", "partially_filled", "filled", "cancelled"}


async def test_the_record_holds_every_message_as_it_was_sent(autojump_clock: MockClock) -> None:
    async with served(record=True) as world, world.welcomed() as client:
        await client.subscribe(BTC, "orders:*")
        world.publish(3)
        world.exchange.place_order("BTC/USD", "buy", 1.0, 50_000.0)
        heard = await client.hear_many(4)
        issued, epoch = world.exchange.issued, world.exchange.epoch
        for message in heard[:3]:
            text = issued.payload(epoch, "ticker", "BTC/USD", message["sequence_id"])
            assert msgspec.json.decode(text) == message
        assert msgspec.json.decode(issued.payload(epoch, "orders", "*", 1)) == heard[3]
        assert issued.streams(epoch) == (StreamKey("ticker", "BTC/USD"), StreamKey("orders", "*"))
        with pytest.raises(LookupError, match=r"issued ids 1\.\.3, not 4"):
            issued.payload(epoch, "ticker", "BTC/USD", 4)
    async with served() as world:
        world.publish(1)
        with pytest.raises(LookupError, match="record = true"):
            world.exchange.issued.payload(world.exchange.epoch, "ticker", "BTC/USD", 1)


async def test_subscriptions_are_logged_with_what_is_owed(autojump_clock: MockClock) -> None:
    async with served() as world, world.welcomed("alice") as client:
        world.publish(7)
        await client.subscribe(BTC)
        (record,) = world.exchange.subscriptions
        assert (record.session_id, record.epoch, record.channel, record.symbol, record.mark) == (
            "alice",
            world.exchange.epoch,
            "ticker",
            "BTC/USD",
            7,
        )


async def test_a_stream_that_does_not_exist_cannot_be_published(autojump_clock: MockClock) -> None:
    async with served() as world:
        with pytest.raises(KeyError):
            world.exchange.publish("ticker", "XXX")


async def test_leaving_the_block_ends_everything_at_once(autojump_clock: MockClock) -> None:
    """Open sessions, a handshake that never ends, peers that are out of reach: the exchange waits for none of them."""
    async with trio.open_nursery() as clients:
        async with served(rate_per_s=100.0) as world:
            for _ in range(3):
                clients.start_soon(_subscribe_and_stay, world)
            clients.start_soon(_begin_a_handshake_and_stay, world)
            await trio.sleep(1)
            world.network.black_hole(Direction.BOTH)
            await trio.sleep(1)
            clients.cancel_scope.cancel()
            leaving_at = trio.current_time()
        assert trio.current_time() == leaving_at


async def _subscribe_and_stay(world: World) -> None:
    async with world.welcomed() as client:
        await client.subscribe(BTC)
        await trio.sleep_forever()


async def _begin_a_handshake_and_stay(world: World) -> None:
    async with world.tcp(world.endpoints.ws_url) as stream:
        await stream.send_all(b"GET /ws HTTP/1.1\r\n")
        await trio.sleep_forever()


async def test_the_same_on_real_sockets() -> None:
    """The one test here without a virtual network: it shows that the server code runs on the kernel's sockets too."""
    exchange = ExchangeSimulator(SimulatorConfig(rate_per_s=1_000.0))
    with trio.fail_after(10):
        async with serve_exchange(exchange) as endpoints:
            world = World(exchange, endpoints, VirtualNetwork())
            async with world.welcomed() as client:
                answer = await client.subscribe(BTC)
                mark = answer["streams"][0]["sequence_id"]
                assert await client.ids(50) == list(range(mark + 1, mark + 51))
                exchange.restart(downtime_s=0.05)
                assert await client.is_dropped()
            with pytest.raises(OSError, match="all attempts"):
                await _knock(world)
            await exchange.wait_up()
            while not await _is_open(world):  # noqa: ASYNC110 (the kernel tells nobody)
                await trio.sleep(0.01)
            async with world.dial() as client:
                assert (await client.hear())["epoch"] == exchange.epoch


async def _knock(world: World) -> None:
    async with world.tcp(world.endpoints.ws_url):
        pass


async def _is_open(world: World) -> bool:
    try:
        await _knock(world)
    except OSError:
        return False
    return True
