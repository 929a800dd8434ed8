"""``gapless watch --exchange`` against ``gapless simulate --venue``: real sockets, seconds each; and its refusals."""

import subprocess
from itertools import pairwise

import msgspec
import pytest
from click.testing import CliRunner

from gapless.cli import main
from gapless.controller import AnyEvent, ContinuityLost, Source, State, StateChanged, Trade
from tests.cli.test_processes import GAPLESS, PATIENCE_S, exchange


def ran(*arguments: str) -> tuple[int, list[bytes], str]:
    run = subprocess.run([*GAPLESS, "watch", *arguments], capture_output=True, timeout=PATIENCE_S, check=False)
    return run.returncode, run.stdout.splitlines(), run.stderr.decode()


@pytest.mark.parametrize(
    ("venue", "stream", "digits"), [("binance", "trade:BTCUSDT", 8), ("coinbase", "matches:BTC-USD", 2)]
)
def test_a_venues_trades_come_as_lines(venue: str, stream: str, digits: int) -> None:
    with exchange("--venue", venue, "--seed", "7") as (_, ready):
        urls = ("--ws-url", ready["ws_url"], "--rest-url", ready["rest_url"])
        code, lines, said = ran("--exchange", venue, *urls, "--stream", stream, "--json", "--seconds", "2.5")
    assert (code, said) == (0, "")
    events = [msgspec.json.decode(line, type=AnyEvent) for line in lines]
    trades = [event for event in events if isinstance(event, Trade)]
    assert len(trades) > 5
    assert {f"{each.channel}:{each.symbol}" for each in trades} == {stream}
    ids = sorted(each.sequence_id or 0 for each in trades)
    assert all(later == earlier + 1 for earlier, later in pairwise(ids))
    for each in trades:
        assert (each.price, each.amount) == (float(each.price_text), float(each.amount_text))
        # A busy machine may need REST, which pads to eight digits on either venue.
        assert each.price_text[-(digits if each.source is Source.LIVE else 8) - 1] == "."
        assert each.side in {"buy", "sell"}
        assert each.trade_id == str(each.sequence_id)
    assert State.CONNECTED in [event.after for event in events if isinstance(event, StateChanged)]
    assert not [event for event in events if isinstance(event, ContinuityLost)]


NOWHERE = ("--ws-url", "ws://127.0.0.1:9/ws", "--rest-url", "http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--exchange", "nosuch", "--stream", "a:b"), "'nosuch' is not one of 'reference', 'binance', 'coinbase'"),
        (("--exchange", "binance", "--stream", "trade:BTC-USDT"), "expected a symbol like BTCUSDT, got 'BTC-USDT'"),
        (("--exchange", "binance", "--stream", "depth:BTCUSDT"), "there is no channel 'depth'; expected one of"),
        (("--exchange", "coinbase", "--stream", "matches:BTCUSD"), "expected a symbol like BTC-USD, got 'BTCUSD'"),
        (
            ("--exchange", "coinbase", *(word for n in range(51) for word in ("--stream", f"matches:C{n}-USD"))),
            "expected at most 50 streams",
        ),
        (("--exchange", "binance", "--stream", "trade:BTCUSDT", "--ws-url", "http://x"), "ws_url = 'http://x' is not"),
        (("--exchange", "binance", "--stream", "trade:BTCUSDT", "--session-id", "a"), "--session-id goes with"),
        (("--stream", "ticker:BTC/USD"), "Missing option '--ws-url': the reference exchange has no address"),
    ],
    ids=lambda each: each[:40] if isinstance(each, str) else "",
)
def test_what_can_never_work_is_said_in_a_line(arguments: tuple[str, ...], says: str) -> None:
    """Before anything is dialled: what names no address would dial the venue itself."""
    addresses = () if "--exchange" not in arguments or "--ws-url" in arguments else NOWHERE
    result = CliRunner().invoke(main, ["watch", *arguments, *addresses])
    assert (result.exit_code, result.stdout) == (2, "")
    assert says in result.stderr
    assert "Traceback" not in result.stderr
