"""Whether replies are read for what they are: errors, limits, counted weight. ``read_reply`` never raises."""

from collections import Counter
from functools import partial
from math import inf
from random import Random
from typing import Final

from msgspec import structs

from gapless.controller.exchange import Exchange, Outcome, ReplyReading, RestReply
from gapless.simulator.testkit.conformance.examples import AdapterExamples, rest_reply
from gapless.simulator.testkit.conformance.findings import Findings, shown
from gapless.simulator.testkit.conformance.meaning import differences, is_id
from gapless.simulator.testkit.conformance.mutations import HOSTILE, as_bytes, mutated

STATUSES: Final = (200, 201, 204, 301, 400, 401, 403, 404, 408, 409, 418, 425, 429, 451, 500, 502, 503, 504, 520, 599)
_HEADER_TEXTS: Final = ("", " ", "abc", "-1", "1.5", "\u0661\u0662", "1e3", "9" * 5_000, "NaN", "0x10", "1, 2", "\x00")


def check_replies(exchange: Exchange, examples: AdapterExamples, findings: Findings) -> None:
    """The examples, each status, and broken bodies and headers."""
    given = [(each.reply, None) for each in examples.pages] + list(examples.replies)
    for number, (reply, expected) in enumerate(given, 1):
        where = f"read_reply: reply {number} {_words(reply)}"
        findings.tried["replies"] += 1
        for reading in findings.attempt(where, partial(exchange.read_reply, reply)):
            if expected is None:
                findings.check(where, expected=Outcome.OK, got=reading.outcome)
            else:
                for text in differences(expected, reading):
                    findings.fail(where, text)
            _check_sound(reading, where, findings)
    for status in STATUSES:
        _check_status(exchange, status, findings)
    _check_broken(exchange, [reply for reply, _ in given] or [rest_reply({})], examples.seed, findings)


def _words(reply: RestReply) -> str:
    return f"(HTTP {reply.status}, {shown(reply.body)})"


def _check_status(exchange: Exchange, status: int, findings: Findings) -> None:
    """What every venue means by these, even where it gives no words."""
    where = f"read_reply: HTTP {status} with an empty body"
    findings.tried["replies"] += 1
    for reading in findings.attempt(where, partial(exchange.read_reply, rest_reply(b"", status))):
        if status in {418, 429}:
            findings.check(where, expected=Outcome.LIMITED, got=reading.outcome)
        elif status >= 400 and reading.outcome is Outcome.OK:
            findings.fail(where, f"expected an error, got {shown(reading)}")
        elif status >= 500 and reading.outcome in {Outcome.REFUSED, Outcome.NO_SUCH_STREAM}:
            findings.fail(where, f"expected {Outcome.UNAVAILABLE}, which is asked again later, got {shown(reading)}")


def _check_sound(reading: ReplyReading, where: str, findings: Findings) -> None:
    """Structs do not look at what they are made of."""
    kinds = {"outcome": Outcome, "code": str, "message": str}
    for name, kind in kinds.items():
        if not isinstance(value := getattr(reading, name, None), kind):
            findings.fail(where, f"expected {name} as {kind.__name__}, got {shown(value)}")
    wait_s = getattr(reading, "retry_after_s", None)
    if wait_s is not None and not (isinstance(wait_s, int | float) and 0 <= wait_s < inf):
        findings.fail(where, f"expected retry_after_s as seconds, or None, got {shown(wait_s)}")
    used = getattr(reading, "used", None)
    if used is not None and not is_id(used):
        findings.fail(where, f"expected used as an integer of at least 0, or None, got {shown(used)}")


def _check_broken(exchange: Exchange, replies: list[RestReply], seed: int, findings: Findings) -> None:
    random = Random(seed)  # noqa: S311 (a test must be repeatable)
    first: dict[str, RestReply] = {}
    times: Counter[str] = Counter()
    for reply in _broken(replies, random):
        findings.tried["mutated readings"] += 1
        found = Findings()
        for reading in found.attempt("read_reply", partial(exchange.read_reply, reply)):
            _check_sound(reading, "read_reply", found)
        for text in found.failures:
            kind = text.partition("(")[0].partition(", got")[0]
            first.setdefault(kind, reply)
            times[kind] += 1
    for kind, count in times.items():
        where = f"read_reply: mutations: {kind.removeprefix('read_reply: ')}"
        findings.fail(
            where, f"{count} of them, the first: {_words(first[kind])} with headers {shown(first[kind].headers)}"
        )


def _broken(replies: list[RestReply], random: Random) -> list[RestReply]:
    """Broken bodies with each kind of status, and broken headers."""
    found: list[RestReply] = []
    for reply in replies:
        bodies = [as_bytes(each) for each in (*HOSTILE, *mutated(reply.body, random))]
        found += [structs.replace(reply, body=body, status=random.choice((reply.status, 200, 404))) for body in bodies]
        for name in reply.headers:
            found += [structs.replace(reply, headers={**reply.headers, name: text}) for text in _HEADER_TEXTS]
    return found
