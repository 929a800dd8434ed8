"""Whether anything can come of what is watched."""

from gapless.cli.rejections import Rejections
from gapless.controller import MarketData, Source, State, StateChanged, Stream, StreamRejected, Trigger

TICKER, ETHER = Stream("ticker", "BTC/USD"), Stream("ticker", "ETH/USD")


def rejected(stream: Stream, message: str = "no such\n thing") -> StreamRejected:
    return StreamRejected(channel=stream.channel, symbol=stream.symbol, code="unknown_symbol", message=message, at=0.0)


def datum(stream: Stream) -> MarketData:
    return MarketData(
        channel=stream.channel,
        symbol=stream.symbol,
        sequence_id=1,
        epoch="e-1",
        source=Source.LIVE,
        timestamp="",
        price=1.0,
        bid=None,
        ask=None,
        volume_24h=None,
        received_at=0.0,
        generation=1,
    )


def redialled() -> StateChanged:
    return StateChanged(
        before=State.REST_FALLBACK,
        trigger=Trigger.RETRY_DUE,
        after=State.RECONNECTING,
        reason="",
        generation=2,
        retry_in_s=None,
        unverified=False,
        at=0.0,
    )


def test_the_last_rejection_is_told_in_one_line() -> None:
    rejections = Rejections([TICKER, ETHER])
    assert rejections.add([rejected(TICKER)]) is None
    assert not rejections.are_all()

    assert rejections.add([rejected(ETHER, "")]) == (
        "every stream was rejected: ticker:BTC/USD (unknown_symbol: no such thing), ticker:ETH/USD (unknown_symbol:); "
        "each new connection asks again"
    )
    assert rejections.are_all()
    assert rejections.add([]) is None


def test_a_new_connection_asks_again_and_is_not_told_again() -> None:
    rejections = Rejections([TICKER])
    assert rejections.add([rejected(TICKER)]) is not None

    assert rejections.add([redialled()]) is None
    assert not rejections.are_all(), "the venue has not answered yet"
    assert rejections.add([rejected(TICKER)]) is None
    assert rejections.are_all()


def test_what_came_after_all_makes_the_next_rejection_news() -> None:
    rejections = Rejections([TICKER, ETHER])
    assert rejections.add([rejected(TICKER), rejected(ETHER), datum(TICKER)]) is None
    assert not rejections.are_all()
    assert rejections.add([rejected(TICKER)]) is not None

    assert rejections.add([datum(ETHER)]) is None
    assert not rejections.are_all()
    assert rejections.add([redialled(), rejected(TICKER), rejected(ETHER)]) is not None


def test_many_streams_fit_on_a_line() -> None:
    streams = [Stream("ticker", f"S{number}") for number in range(9)]
    line = Rejections(streams).add([rejected(stream, "no") for stream in streams])

    assert line is not None
    assert line.count("unknown_symbol") == 4
    assert "ticker:S3 (unknown_symbol: no) and 5 more; each" in line
