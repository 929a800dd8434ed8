"""What a client is told about its subscriptions."""

import pytest
from trio.testing import MockClock

from tests.simulator.conftest import BTC, named, served


@pytest.mark.parametrize("literal", [False, True])
async def test_an_end_names_the_last_id_issued_but_in_the_literal_form(
    autojump_clock: MockClock, literal: bool
) -> None:
    async with served(literal=literal) as world, world.welcomed() as client:
        world.publish(3)
        await client.subscribe(BTC)
        await client.say({"type": "UNSUBSCRIBE", "request_id": "u-1", "streams": named(BTC)})

        mark = {} if literal else {"sequence_id": 3}
        assert await client.hear() == {
            "type": "UNSUBSCRIBED",
            "request_id": "u-1",
            "streams": [{"channel": "ticker", "symbol": "BTC/USD", **mark}],
        }
