"""The specification's literal form, and what a checker in another process may ask."""

import trio
from trio.testing import MockClock

from gapless.simulator import DelayMode, FailuresConfig
from tests.simulator.conftest import BTC, served


async def test_the_literal_form_names_neither_epochs_nor_marks_nor_ids_of_rows(autojump_clock: MockClock) -> None:
    async with served(literal=True) as world, world.dial() as client, world.rest() as rest:
        assert set(await client.hear()) == {"type", "session_id", "server_time"}
        answer = await client.subscribe(BTC)
        assert answer["streams"] == [{"channel": "ticker", "symbol": "BTC/USD"}]
        world.publish(3)
        assert await client.ids(3) == [1, 2, 3]
        reply = (await rest.get("/api/v1/prices?symbol=BTC/USD&start_seq=3")).json()
        assert set(reply) == {"prices"}
        assert len(reply["prices"]) == 3, "it knows times alone"
        assert set(reply["prices"][0]) == {"timestamp", "price", "bid", "ask", "volume_24h"}
        assert set((await rest.get("/api/v1/orders")).json()) == {"orders"}
        assert set((await rest.get("/api/v1/balance")).json()) == {"balances"}


async def test_the_record_of_what_was_issued_owed_and_injected(autojump_clock: MockClock) -> None:
    mode = DelayMode(enabled=True, delay_s=0.1)
    async with served(failures=FailuresConfig(delay=mode)) as world, world.rest() as rest:
        first = world.exchange.epoch
        async with world.welcomed("me") as client:
            world.publish(2)
            await client.subscribe(BTC)
            world.publish(3)
            await client.ids(3)
        second = world.exchange.restart()
        await trio.sleep(0.1)
        world.publish(1)
        record = (await rest.get("/api/v1/simulator/issued")).json()
        assert record == {
            "epochs": [
                {"epoch": first, "streams": [{"channel": "ticker", "symbol": "BTC/USD", "last_seq": 5}]},
                {"epoch": second, "streams": [{"channel": "ticker", "symbol": "BTC/USD", "last_seq": 1}]},
            ],
            "subscriptions": [
                {"session_id": "me", "epoch": first, "channel": "ticker", "symbol": "BTC/USD", "mark": 2}
            ],
            "injected": {"delay": 1},
        }


async def test_goodbye_can_be_said_from_outside(autojump_clock: MockClock) -> None:
    async with served() as world, world.welcomed() as client, world.rest() as rest:
        reply = await rest.post("/api/v1/simulator/goodbye", json={"reason": "upgrade", "retry_after_s": 5})
        assert reply.json() == {"sessions": 1}
        assert await client.hear() == {"type": "GOODBYE", "reason": "upgrade", "retry_after_s": 5.0}
        assert await client.is_dropped()
        wrong = await rest.post("/api/v1/simulator/goodbye", json={"retry_after_s": -1})
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, "bad_goodbye")
