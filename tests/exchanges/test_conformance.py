"""Every adapter is held against its venue, by examples."""

import pytest

from examples.venue_linden import LindenExchange
from gapless.controller.exchange import Exchange
from gapless.controller.exchanges import (
    BinanceExchange,
    CoinbaseExchange,
    DeribitExchange,
    KrakenExchange,
    ReferenceExchange,
)
from gapless.simulator.testkit.conformance import AdapterExamples, check_adapter
from tests.exchanges.binance_examples import BINANCE
from tests.exchanges.coinbase_examples import COINBASE
from tests.exchanges.deribit_examples import DERIBIT
from tests.exchanges.kraken_examples import KRAKEN
from tests.exchanges.linden import LINDEN
from tests.exchanges.reference_examples import REFERENCE

ADAPTERS: dict[str, tuple[Exchange, AdapterExamples]] = {
    "reference": (
        ReferenceExchange(ws_url="ws://host:1/ws", rest_url="http://host:2", session_id="test-session"),
        REFERENCE,
    ),
    "binance": (BinanceExchange(), BINANCE),
    "coinbase": (CoinbaseExchange(), COINBASE),
    "kraken": (KrakenExchange(), KRAKEN),
    "deribit": (DeribitExchange(), DERIBIT),
    "linden": (LindenExchange(), LINDEN),
}


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_adapter_does_what_its_venue_does(name: str) -> None:
    exchange, examples = ADAPTERS[name]
    findings = check_adapter(exchange, examples)
    findings.assert_ok()
    assert findings.tried["mutated frames"] >= 200 * len(examples.frames)
    assert findings.tried["mutated replies"] >= 200 * len(examples.pages)
    assert findings.tried["mutated readings"] >= 2_000
