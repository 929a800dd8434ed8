"""The conformance test notices what is wrong: an adapter with one defect each, and what a failure says."""

from dataclasses import replace

import msgspec
import pytest

from examples.venue_linden import LindenExchange
from gapless.controller.exchange import MarketUpdate, Pong, TradeUpdate
from gapless.controller.exchanges import ReferenceExchange
from gapless.simulator.testkit.conformance import ConformanceError, Expect, check_adapter
from tests.exchanges.defects import DEFECTS, broken
from tests.exchanges.linden import LINDEN
from tests.exchanges.reference_examples import REFERENCE


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_named(name: str) -> None:
    words = DEFECTS[name][1]
    with pytest.raises(ConformanceError) as caught:
        check_adapter(broken(name), LINDEN).assert_ok()
    assert words in str(caught.value), str(caught.value)


def test_all_failures_are_told_at_once_with_what_was_tried() -> None:
    findings = check_adapter(broken("FloatMoney"), LINDEN)
    assert len(findings.failures) >= 3
    with pytest.raises(ConformanceError) as caught:
        findings.assert_ok()
    text = str(caught.value)
    assert text.startswith(f"the adapter does not conform, {len(findings.failures)} failures:\n  1. ")
    assert all(failure in text for failure in findings.failures)
    assert "mutated frames" in text


def test_the_same_seed_tries_the_same() -> None:
    first, second = (check_adapter(broken("RaisesKeyError"), LINDEN) for _ in range(2))
    assert (first.failures, first.tried) == (second.failures, second.tried)


def test_examples_that_show_too_little_are_a_failure() -> None:
    """What was never shown was never tested: that must not pass for conformity."""
    poor = replace(LINDEN, frames=[LINDEN.frames[7]], runs=[], pages=[], replies=[])
    assert [text for text in check_adapter(LindenExchange(), poor).failures if text.startswith("examples: ")] == [
        "examples: expected a frame of market data",
        "examples: expected a reply with an error, and the outcome that it has",
        "examples: expected a run of at least 3 frames of trade",
        "examples: expected a page of trade, which has a history",
    ]
    with pytest.raises(ValueError, match="at least one stream and one frame"):
        check_adapter(LindenExchange(), replace(LINDEN, frames=[]))


def test_a_frame_that_means_something_else_is_told_apart() -> None:
    wrong = replace(LINDEN, frames=[*LINDEN.frames, ('{"ev":"beat"}', Expect(Pong, request_id="p-1"))])
    (failure,) = check_adapter(LindenExchange(), wrong).failures
    assert failure == """decode: frame 12 '{"ev":"beat"}': expected Pong, got HighWater(marks={})"""


def test_an_expectation_says_what_it_is() -> None:
    assert repr(Expect(TradeUpdate, sequence_id=42, side="buy")) == "TradeUpdate(sequence_id=42, side='buy')"


def test_a_field_that_does_not_exist_is_a_failure_of_the_examples() -> None:
    wrong = replace(LINDEN, frames=[*LINDEN.frames, ('{"ev":"pong","req":"p-1"}', Expect(Pong, name="p-1"))])
    (failure,) = check_adapter(LindenExchange(), wrong).failures
    assert "expected Pong.name, which Pong does not have" in failure


class Careless(MarketUpdate, frozen=True, kw_only=True, tag_field="type", tag="MARKET_DATA", rename={"price": "bid"}):
    """Takes the bid for the price."""


def test_a_market_decoder_must_agree_with_decode() -> None:
    exchange = ReferenceExchange(ws_url="ws://host:1/ws", rest_url="http://host:2", session_id="test-session")
    assert check_adapter(exchange, REFERENCE).tried["frames of the market_decoder"] == len(REFERENCE.frames)
    vars(exchange)["market_decoder"] = msgspec.json.Decoder(Careless)
    (failure,) = check_adapter(exchange, REFERENCE).failures
    assert "by market_decoder: expected MarketDataFrame(" in failure
