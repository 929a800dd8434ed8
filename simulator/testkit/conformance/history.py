"""Whether history is asked for as it should be, and whether a reply becomes a page that keeps its contract."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import pairwise
from random import Random
from typing import Final, TypeAlias

import httpx
from msgspec import structs

from gapless.controller import InvalidReplyError, Stream
from gapless.controller.exchange import (
    Exchange,
    HistoryPage,
    HistoryQuery,
    RestReply,
    SequenceRule,
    Snapshot,
    TradeUpdate,
)
from gapless.controller.instants import instant
from gapless.simulator.testkit.conformance.examples import AdapterExamples, PageExample, SnapshotExample
from gapless.simulator.testkit.conformance.findings import Findings, shown
from gapless.simulator.testkit.conformance.frames import check_decimals, check_times
from gapless.simulator.testkit.conformance.meaning import differences, is_id, unsound
from gapless.simulator.testkit.conformance.mutations import HOSTILE, as_bytes, mutated
from gapless.simulator.testkit.conformance.requests import check_request, target

Decode: TypeAlias = Callable[[RestReply], HistoryPage | Snapshot]
"""What a reply to one question means."""

_SOME_TIME: Final = "2026-01-01T00:00:00.000Z"


def check_history(exchange: Exchange, examples: AdapterExamples, findings: Findings) -> None:
    """Requests for whatever the controller may ask, the pages that are written down, and broken ones."""
    for stream in examples.streams:
        if exchange.is_account(stream) or not exchange.has_history(stream):
            continue
        for query in _queries(exchange, stream):
            by_id = query.start is None
            needed = by_id or exchange.sequence_rule(stream) is SequenceRule.UNSEQUENCED
            check_request(exchange, query, f"history_request of {_words(query)}", findings, may_refuse=not needed)
    random = Random(examples.seed)  # noqa: S311 (a test must be repeatable)
    for number, example in enumerate(examples.pages, 1):
        _check_page(exchange, example, f"page {number} of {_words(example.query)}", random, findings)
    for each in examples.snapshots:
        _check_snapshot(exchange, each, f"snapshot of {each.stream}", random, findings)


def _queries(exchange: Exchange, stream: Stream) -> Iterable[HistoryQuery]:
    """What a controller asks: where the stream stands, what is missing, what is newer, and all since a time."""
    most = exchange.page_rows_max
    yield HistoryQuery(stream=stream, limit=1)
    yield HistoryQuery(stream=stream, limit=most, start_seq=42, end_seq=42, since=_SOME_TIME)
    yield HistoryQuery(stream=stream, limit=most, start_seq=42, end_seq=42 + 10 * most, since=_SOME_TIME)
    yield HistoryQuery(stream=stream, limit=most, start_seq=0, since=_SOME_TIME)
    yield HistoryQuery(stream=stream, limit=most, start_seq=2**53 + 1, since=_SOME_TIME)
    yield HistoryQuery(stream=stream, limit=most, start=_SOME_TIME)


def _words(query: HistoryQuery) -> str:
    named = {name: value for name, value in structs.asdict(query).items() if value is not None and name != "stream"}
    return f"{query.stream} ({', '.join(f'{name}={value}' for name, value in named.items())})"


def _check_page(exchange: Exchange, example: PageExample, where: str, random: Random, findings: Findings) -> None:
    query = example.query
    for request in check_request(exchange, query, where, findings):
        findings.check(f"{where}: request", expected=target(httpx.URL(example.request)), got=target(request.url))
        for weight in findings.attempt(f"{where}: weight", partial(exchange.weight, request)):
            findings.check(f"{where}: weight", expected=example.weight, got=weight)
    decode = partial(exchange.decode_history, query, example.reply)
    findings.tried["pages"] += 1
    for page in findings.attempt(where, decode):
        for text in differences(example.page, page):
            findings.fail(where, text)
        findings.check(f"{where}: ids", expected=list(example.ids), got=[row.sequence_id for row in page.rows])
        for text in _broken_contract(query, page):
            findings.fail(where, text)
        for row in page.rows:
            for text in unsound(row):
                findings.fail(where, text)
        check_times(page.rows, where, findings)
        for again in findings.attempt(where, decode):
            findings.check(f"{where}: decode_history is not pure", expected=page, got=again)
        _check_exact(exchange, example, page, where, findings)
        _check_continuation(exchange, query, page, where, findings)
    _check_broken_replies(
        partial(exchange.decode_history, query), example.reply, f"{where}: mutations of the reply", random, findings
    )


def _broken_contract(query: HistoryQuery, page: HistoryPage) -> Iterable[str]:
    """What a page may not be, whatever the venue said (see :class:`~gapless.controller.exchange.HistoryPage`)."""
    ids = [row.sequence_id for row in page.rows if row.sequence_id is not None]
    times = [instant(row.timestamp) for row in page.rows if row.timestamp]
    if any(later <= earlier for earlier, later in pairwise(ids)):
        yield f"expected rows whose ids grow, oldest first, got {shown(ids)}"
    if any(later < earlier for earlier, later in pairwise(times)):
        yield f"expected rows oldest first, got {shown([row.timestamp for row in page.rows])}"
    if query.start_seq is not None and query.since is None and ids and min(ids) < query.start_seq:
        yield f"expected rows from start_seq {query.start_seq} on, got {shown(ids)}"
    if 0 < len(ids) < len(page.rows):
        yield f"expected ids in all rows or in none, got {shown([row.sequence_id for row in page.rows])}"
    if page.more and page.last_seq is not None:
        yield f"expected last_seq None of a page that goes on (more), got {page.last_seq}"
    if page.more and not page.rows and page.cursor is None:
        yield "expected rows or a cursor of a page that goes on (more): it would be asked for again for ever"
    if page.cursor is not None and not page.more:
        yield f"expected more with a cursor, got cursor {shown(page.cursor)} alone"
    for name, mark in (("first_seq", page.first_seq), ("last_seq", page.last_seq)):
        if mark is not None and mark != -1 and not is_id(mark):
            yield f"expected {name} as an integer of 0..2**63 - 1, got {shown(mark)}"
    if page.last_seq is not None and ids and max(ids) > page.last_seq:
        yield f"expected last_seq of at least the last row's {max(ids)}, got {page.last_seq}"
    if page.first_seq is not None and ids and min(ids) < page.first_seq:
        yield f"expected first_seq of at most the first row's {min(ids)}, got {page.first_seq}"


def _check_exact(exchange: Exchange, example: PageExample, page: HistoryPage, where: str, findings: Findings) -> None:
    def again(text: str) -> Sequence[TradeUpdate]:
        reply = structs.replace(example.reply, body=text.encode())
        rows = exchange.decode_history(example.query, reply).rows
        return [row for row in rows if isinstance(row, TradeUpdate)]

    trades = [row for row in page.rows if isinstance(row, TradeUpdate)]
    check_decimals(example.reply.body.decode("utf-8", "replace"), trades, again, where, findings)


def _check_continuation(
    exchange: Exchange, query: HistoryQuery, page: HistoryPage, where: str, findings: Findings
) -> None:
    """A page that goes on leads to another request."""
    if not page.more or (not page.rows and page.cursor is None):
        return
    last = page.rows[-1].sequence_id if page.rows else None
    start = query.start_seq if last is None else last + 1
    following = structs.replace(query, cursor=page.cursor, start_seq=start)
    for before in check_request(exchange, query, where, findings):
        for after in check_request(exchange, following, f"{where}: the page after it", findings):
            if target(before.url) == target(after.url) and before.content == after.content:
                findings.fail(f"{where}: the page after it", f"expected another request, got {after.url} again")


def _check_snapshot(
    exchange: Exchange, example: SnapshotExample, where: str, random: Random, findings: Findings
) -> None:
    for request in findings.attempt(where, partial(exchange.snapshot_request, example.stream)):
        findings.check(f"{where}: request", expected=target(httpx.URL(example.request)), got=target(request.url))
    findings.tried["snapshots"] += 1
    for snapshot in findings.attempt(where, partial(exchange.decode_snapshot, example.stream, example.reply)):
        for text in differences(example.snapshot, snapshot):
            findings.fail(where, text)
    _check_broken_replies(
        partial(exchange.decode_snapshot, example.stream), example.reply, f"{where}: mutations", random, findings
    )


def _check_broken_replies(decode: Decode, reply: RestReply, where: str, random: Random, findings: Findings) -> None:
    """No reply raises anything but InvalidReplyError, or becomes what can never be right."""
    first: dict[str, bytes] = {}
    times: Counter[str] = Counter()
    for variant in (*HOSTILE, *mutated(reply.body, random)):
        body = as_bytes(variant)
        findings.tried["mutated replies"] += 1
        for text in _broken_by(decode, structs.replace(reply, body=body)):
            first.setdefault(text, body)
            times[text] += 1
    for text, count in times.items():
        findings.fail(where, f"{text}; {count} of them, the first: {shown(first[text])}")


def _broken_by(decode: Decode, reply: RestReply) -> list[str]:
    try:
        page = decode(reply)
    except InvalidReplyError:
        return []
    except Exception as error:  # noqa: BLE001 (whatever an adapter raises is what is looked for)
        return [f"expected InvalidReplyError, but it raised {type(error).__name__}"]
    if not isinstance(page, HistoryPage):
        return []
    return [text.partition(", got")[0] for row in page.rows for text in unsound(row)]
