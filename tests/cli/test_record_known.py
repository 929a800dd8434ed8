"""A stream that is gone on with and brings nothing but what is known."""

from gapless.cli.record_known import KNOWN_AFTER_S, AllKnown
from gapless.controller import Cursor, Stream, StreamCursor

BTC, ETH = Stream("trade", "BTC"), Stream("trade", "ETH")
CURSOR = Cursor(
    streams=[StreamCursor(channel=each.channel, symbol=each.symbol, epoch="e-1", next_id=500) for each in (BTC, ETH)]
)
FRESH = {BTC: 0.1, ETH: 0.1}


def test_it_is_said_once_for_each_stream_of_which_messages_come_and_nothing_is_stored() -> None:
    known = AllKnown(CURSOR, 100.0)
    assert known.look(100.0 + KNOWN_AFTER_S - 1, stored={}, age_s=FRESH, duplicates=50) == ""
    line = known.look(100.0 + KNOWN_AFTER_S, stored={BTC: 0, ETH: 3}, age_s=FRESH, duplicates=60)
    assert "nothing has come but ids that the file goes beyond: trade:BTC (below 500); where" in line
    assert known.look(100.0 + 2 * KNOWN_AFTER_S, stored={ETH: 3}, age_s=FRESH, duplicates=70) == ""


def test_a_quiet_market_is_no_other_server() -> None:
    known = AllKnown(CURSOR, 0.0)
    quiet = {BTC: float("inf"), ETH: 40.0}
    assert known.look(KNOWN_AFTER_S, stored={}, age_s=quiet, duplicates=5) == ""
    assert known.look(KNOWN_AFTER_S + 1, stored={}, age_s=FRESH, duplicates=5) == "", "none of them was a duplicate"
    assert "trade:BTC (below 500), trade:ETH" in known.look(99.0, stored={}, age_s=FRESH, duplicates=6)


def test_what_the_file_does_not_know_is_not_looked_at() -> None:
    assert AllKnown(None, 0.0).look(99.0, stored={}, age_s=FRESH, duplicates=5) == ""
