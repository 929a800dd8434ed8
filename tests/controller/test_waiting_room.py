"""What a successor keeps: bounded, in order, the oldest."""

from gapless.controller import Stream
from gapless.controller.exchange import MarketUpdate
from gapless.controller.waiting_room import HELD_MAX, WaitingRoom

TICKER = Stream("ticker", "BTC/USD")


def update(number: int) -> MarketUpdate:
    return MarketUpdate(
        channel=TICKER.channel, symbol=TICKER.symbol, timestamp="2026-01-01T00:00:00Z", price=1.0, sequence_id=number
    )


def test_what_does_not_fit_is_dropped_and_will_be_missed_by_its_id() -> None:
    room = WaitingRoom()
    for number in range(HELD_MAX + 10):
        assert room.is_full is (number >= HELD_MAX)
        room.keep(update(number), 1.0, 2.0)
    kept = [message.sequence_id for message, _now, _received_at in room.data]
    assert kept == list(range(HELD_MAX))
