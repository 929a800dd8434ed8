"""Whether frames mean what they should, always the same, and whether no frame can break the adapter."""

from collections import Counter
from collections.abc import Iterable
from functools import partial
from itertools import pairwise
from random import Random
from typing import Final

import msgspec

from gapless.controller import InvalidMessageError, Stream
from gapless.controller.exchange import Exchange, HistoryRow, MarketUpdate, SequenceRule, TradeUpdate
from gapless.simulator.testkit.conformance.exactness import Again, inexact
from gapless.simulator.testkit.conformance.examples import AdapterExamples, Frame, LiveRun
from gapless.simulator.testkit.conformance.findings import Findings, raised, shown
from gapless.simulator.testkit.conformance.meaning import differences, flat, timeless, unsound
from gapless.simulator.testkit.conformance.mutations import HOSTILE, mutated

_FAST_REFUSALS: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""What a ``market_decoder`` may raise; ``decode`` is asked then."""


def check_frames(exchange: Exchange, examples: AdapterExamples, findings: Findings) -> None:
    """Every example, one by one, and the runs."""
    for number, (frame, expected) in enumerate(examples.frames, 1):
        where = f"decode: frame {number} {shown(frame)}"
        findings.tried["frames"] += 1
        for message in findings.attempt(where, partial(exchange.decode, frame), wanted=expected.kind.__name__):
            for text in differences(expected, message):
                findings.fail(where, text)
            _check_data(exchange, examples, frame, message, where=where, findings=findings)
            _check_fast(exchange, frame, message, where, findings)
    for number, run in enumerate(examples.runs, 1):
        _check_run(exchange, examples, run, f"run {number} of {run.stream}", findings)


def _check_data(
    exchange: Exchange, examples: AdapterExamples, frame: Frame, message: object, *, where: str, findings: Findings
) -> None:
    """What holds of all data: types, names, times, and exact decimals."""
    for text in unsound(message):
        findings.fail(where, text)
    updates = [each for each in flat(message) if isinstance(each, MarketUpdate)]
    for update in updates:
        if Stream(update.channel, update.symbol) not in examples.streams:
            known = ", ".join(str(each) for each in examples.streams)
            findings.fail(where, f"expected data of a stream as an app names it ({known}), got {name_of(update)}")
    check_times(updates, where, findings)

    def again(text: str) -> list[TradeUpdate]:
        return [each for each in flat(exchange.decode(text)) if isinstance(each, TradeUpdate)]

    if isinstance(frame, str):
        check_decimals(frame, [each for each in updates if isinstance(each, TradeUpdate)], again, where, findings)


def name_of(update: MarketUpdate) -> str:
    """Its stream, as an app would name it."""
    return f"{update.channel}:{update.symbol}"


def check_times(rows: Iterable[HistoryRow], where: str, findings: Findings) -> None:
    """Times parse, and are in UTC."""
    for row in rows:
        findings.tried["timestamps"] += 1
        for text in timeless(row):
            findings.fail(where, text)


def check_decimals(text: str, trades: list[TradeUpdate], again: Again, where: str, findings: Findings) -> None:
    """Prices and amounts are kept digit for digit."""
    findings.tried["decimals"] += 2 * len(trades)
    for words in findings.attempt(where, lambda: list(inexact(text, trades, again))):
        for each in words:
            findings.fail(where, each)


def _check_fast(exchange: Exchange, frame: Frame, message: object, where: str, findings: Findings) -> None:
    """A ``market_decoder`` gives the same market data, and may refuse all else."""
    decoder: msgspec.json.Decoder[object] | None = getattr(exchange, "market_decoder", None)
    if decoder is None:
        return
    findings.tried["frames of the market_decoder"] += 1
    for update in findings.attempt(
        f"{where} by market_decoder", partial(decoder.decode, frame), refusals=_FAST_REFUSALS
    ):
        if isinstance(message, MarketUpdate) or isinstance(update, MarketUpdate):
            findings.check(f"{where} by market_decoder", expected=message, got=update)


def _check_run(exchange: Exchange, examples: AdapterExamples, run: LiveRun, where: str, findings: Findings) -> None:
    updates: list[MarketUpdate] = []
    for number, frame in enumerate(run.frames, 1):
        at = f"{where}: frame {number} {shown(frame)}"
        findings.tried["frames"] += 1
        for message in findings.attempt(at, partial(exchange.decode, frame)):
            _check_data(exchange, examples, frame, message, where=at, findings=findings)
            updates += [each for each in flat(message) if isinstance(each, MarketUpdate)]
    findings.check(f"{where}: streams", expected={str(run.stream)}, got={name_of(each) for each in updates})
    ids = [each.sequence_id for each in updates]
    if findings.check(f"{where}: ids", expected=list(run.ids), got=ids):
        _check_rule(exchange.sequence_rule(run.stream), updates, where, findings)


def _check_rule(rule: SequenceRule, updates: list[MarketUpdate], where: str, findings: Findings) -> None:
    """The ids do what ``sequence_rule`` says."""
    findings.tried["ids"] += len(updates)
    ids = [each.sequence_id for each in updates if each.sequence_id is not None]
    if rule is not SequenceRule.UNSEQUENCED and len(ids) < len(updates):
        findings.fail(f"{where}: sequence_rule", f"expected an id in each of a {rule.value} stream, got {ids}")
    if rule is SequenceRule.CONTIGUOUS and any(later != earlier + 1 for earlier, later in pairwise(ids)):
        findings.fail(f"{where}: sequence_rule", f"expected ids that count by 1 ({rule.value}), got {ids}")
    if rule is SequenceRule.MONOTONIC and any(later < earlier for earlier, later in pairwise(ids)):
        findings.fail(f"{where}: sequence_rule", f"expected ids that grow ({rule.value}), got {ids}")
    if rule is SequenceRule.CHAINED:
        links = [(each.prev_sequence_id, before.sequence_id) for before, each in pairwise(updates)]
        if any(named != before for named, before in links):
            findings.fail(f"{where}: sequence_rule", f"expected each to name the id before it (chained), got {links}")


def all_frames(examples: AdapterExamples) -> list[Frame]:
    """Every frame of a venue that is written down."""
    return [*(frame for frame, _ in examples.frames), *(frame for run in examples.runs for frame in run.frames)]


def meanings(exchange: Exchange, frames: Iterable[Frame]) -> list[object]:
    """What frames are decoded to, or how they are refused."""
    found: list[object] = []
    for frame in frames:
        try:
            found.append(exchange.decode(frame))
        except Exception as error:  # noqa: BLE001 (compared, and told elsewhere)
            found.append(raised(error))
    return found


def check_purity(exchange: Exchange, examples: AdapterExamples, first: list[object], findings: Findings) -> None:
    """A frame means the same the second time, in another order, and after frames were built.

    Args:
        exchange: the adapter.
        examples: of its venue.
        first: what :func:`meanings` were at first, before anything else was asked.
        findings: where failures go.
    """
    frames = all_frames(examples)
    findings.tried["frames decoded again"] += 2 * len(frames)
    backwards = meanings(exchange, reversed(frames))[::-1]
    forwards = meanings(exchange, frames)
    for number, (before, *others) in enumerate(zip(first, backwards, forwards, strict=True), 1):
        for after in others:
            if before != after:
                where = f"decode is not pure: frame {number} {shown(frames[number - 1])}"
                findings.fail(where, f"expected the same again, {shown(before)}, got {shown(after)}")


def check_mutations(exchange: Exchange, examples: AdapterExamples, findings: Findings) -> None:
    """No frame, however broken, raises anything but InvalidMessageError, or decodes to what can never be right."""
    random = Random(examples.seed)  # noqa: S311 (a test must be repeatable)
    _check_variants(exchange, HOSTILE, "decode: hostile frames", findings)
    for number, (frame, _) in enumerate(examples.frames, 1):
        _check_variants(
            exchange, mutated(frame, random), f"decode: mutations of frame {number} {shown(frame)}", findings
        )


def _check_variants(exchange: Exchange, variants: Iterable[Frame], where: str, findings: Findings) -> None:
    """The same failure of many variants is told once, with the first of them."""
    first: dict[str, Frame] = {}
    times: Counter[str] = Counter()
    for variant in variants:
        findings.tried["mutated frames"] += 1
        for text in _broken_by(exchange, variant):
            first.setdefault(text, variant)
            times[text] += 1
    for text, count in times.items():
        findings.fail(where, f"{text}; {count} of them, the first: {shown(first[text])}")


def _broken_by(exchange: Exchange, variant: Frame) -> list[str]:
    try:
        message = exchange.decode(variant)
    except InvalidMessageError:
        return []
    except Exception as error:  # noqa: BLE001 (whatever an adapter raises is what is looked for)
        return [f"expected InvalidMessageError, but it raised {type(error).__name__}"]
    return [text.partition(", got")[0] for text in unsound(message)]
