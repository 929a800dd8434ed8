"""Whether what an adapter says of its venue is sane, and whether the examples show all of it."""

from collections.abc import Iterator
from functools import partial
from math import isfinite
from typing import Final

import httpx

from gapless.controller import ConfigurationError, Stream
from gapless.controller.exchange import Budget, Exchange, MarketUpdate, Outcome, SequenceRule
from gapless.simulator.testkit.conformance.examples import AdapterExamples
from gapless.simulator.testkit.conformance.findings import Findings
from gapless.simulator.testkit.conformance.requests import host_of

_LIFE_MIN_S: Final = 60.0
"""A socket replaced more often than once a minute costs more than it saves."""
_RUN_MIN: Final = 3
"""Frames that show what ids do."""
_PER_FRAME: Final = 100
"""Mutations of a frame or reply, at least, that a test must have tried to mean something."""


def check_declarations(exchange: Exchange, examples: AdapterExamples, findings: Findings) -> None:
    """Addresses, budgets, streams."""
    for text in _broken_declarations(exchange):
        findings.fail("declarations", text)
    for stream in examples.streams:
        findings.attempt(f"check of {stream}", partial(exchange.check, stream))
        _check_stream(exchange, stream, findings)
    for stream in examples.unknown_streams:
        where = f"check of {stream}, which can never work"
        for _ in findings.attempt(where, partial(exchange.check, stream), refusals=(ConfigurationError,)):
            findings.fail(where, "expected ConfigurationError, but it was let pass")


def _broken_declarations(exchange: Exchange) -> Iterator[str]:
    if not exchange.websocket_url.startswith(("ws://", "wss://")):
        yield f"expected a websocket_url that begins with ws:// or wss://, got {exchange.websocket_url!r}"
    host = exchange.rest_host
    if "/" in host or host != host_of(httpx.URL(f"https://{host}")):
        yield f"expected rest_host as host:port in lower case, got {host!r}"
    budgets = {name: getattr(exchange, name) for name in ("budget", "connect_budget", "send_budget")}
    for name, budget in budgets.items():
        if budget is not None and not _is_sane(budget):
            yield f"expected {name} as (at least 1, seconds above 0) or None, got {budget!r}"
    most, rows, age_s = exchange.streams_max, exchange.page_rows_max, exchange.rotate_after_s
    if most is not None and (not isinstance(most, int) or most < 1):
        yield f"expected streams_max of at least 1 or None, got {most!r}"
    if not isinstance(rows, int) or rows < 1:
        yield f"expected page_rows_max of at least 1, got {rows!r}"
    if age_s is not None and not (isfinite(age_s) and age_s >= _LIFE_MIN_S):
        yield f"expected rotate_after_s of at least {_LIFE_MIN_S:g} s or None, got {age_s!r}"


def _is_sane(budget: Budget) -> bool:
    count, window_s = budget
    return isinstance(count, int) and count >= 1 and isfinite(window_s) and window_s > 0


def _check_stream(exchange: Exchange, stream: Stream, findings: Findings) -> None:
    where = f"sequence_rule of {stream}"
    for rule in findings.attempt(where, partial(exchange.sequence_rule, stream)):
        findings.check(f"{where}: kind", expected=SequenceRule, got=type(rule))
        findings.check(f"{where}: the same again", expected=rule, got=exchange.sequence_rule(stream))
    if exchange.is_account(stream) and exchange.has_history(stream):
        findings.fail(f"has_history of {stream}", "expected False of an account stream, which snapshots heal")


def check_coverage(exchange: Exchange, examples: AdapterExamples, findings: Findings) -> None:
    """The examples show what the adapter claims, and enough was tried with them; else passing would mean nothing."""
    for text in _not_shown(exchange, examples):
        findings.fail("examples", text)
    for name, examined in (("mutated frames", len(examples.frames)), ("mutated replies", len(examples.pages))):
        if findings.tried[name] < _PER_FRAME * examined:
            findings.fail("coverage", f"expected {_PER_FRAME} {name} for each example, got {findings.tried[name]}")


def _not_shown(exchange: Exchange, examples: AdapterExamples) -> Iterator[str]:
    if not any(
        issubclass(expected.kind, MarketUpdate) or "messages" in expected.fields for _, expected in examples.frames
    ):
        yield "expected a frame of market data"
    if not any(expected.fields.get("outcome") not in {None, Outcome.OK} for _, expected in examples.replies):
        yield "expected a reply with an error, and the outcome that it has"
    paged = {page.query.stream.channel for page in examples.pages}
    run = {each.stream.channel for each in examples.runs if len(each.frames) >= _RUN_MIN}
    for stream in examples.streams:
        if exchange.is_account(stream):
            if stream not in {each.stream for each in examples.snapshots}:
                yield f"expected a snapshot of {stream}, which is an account stream"
            continue
        if stream.channel not in run:
            yield f"expected a run of at least {_RUN_MIN} frames of {stream.channel}"
        if exchange.has_history(stream) and stream.channel not in paged:
            yield f"expected a page of {stream.channel}, which has a history"
        if not exchange.has_history(stream) and stream.channel in paged:
            yield f"expected no page of {stream.channel}, of which has_history says that it has none"
