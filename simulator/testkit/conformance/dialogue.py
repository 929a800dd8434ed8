"""Whether the frames that the adapter builds are what a venue takes, and whether its answers find their way back."""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice, product
from string import ascii_uppercase
from typing import Final

from gapless.controller import ConfigurationError, Stream
from gapless.controller.exchange import Exchange, Pong, Rejected, Subscribed, Unsubscribed
from gapless.simulator.testkit.conformance.examples import AdapterExamples, Frame
from gapless.simulator.testkit.conformance.findings import Findings, shown
from gapless.simulator.testkit.conformance.meaning import flat, unsound

REQUEST_IDS: Final = ("s-1", "s-2", "g12-s-345")
"""As a controller makes them: short texts, a new one for each request."""
PING_IDS: Final = ("p-1", "p-2", "p-123456")
MANY_MAX: Final = 500
"""Streams of one large subscription, where one socket carries as many."""


def check_dialogue(exchange: Exchange, examples: AdapterExamples, findings: Findings) -> None:
    """Greeting, subscriptions, their answers, PINGs."""
    for frames in findings.attempt("greeting", exchange.greeting):
        _check_texts(frames, "greeting", examples, findings, is_json=False)
    streams = list(examples.streams)
    for asked, request_id in ((streams[:1], REQUEST_IDS[0]), (streams[-1:], REQUEST_IDS[1]), (streams, REQUEST_IDS[2])):
        _check_subscribe(exchange, examples, asked, request_id, findings)
        _check_unsubscribe(exchange, examples, asked, request_id, findings)
        _check_refusal(exchange, examples, asked, request_id, findings)
    _check_many(exchange, examples, findings)
    _check_pings(exchange, examples, findings)


# -- what is sent ------------------------------------------------------------------------------------------------------


def _check_texts(
    frames: Sequence[str], where: str, examples: AdapterExamples, findings: Findings, *, is_json: bool = True
) -> None:
    for frame in frames:
        findings.tried["frames built"] += 1
        if not isinstance(frame, str) or not frame:
            findings.fail(where, f"expected frames of text, got {shown(frame)}")
            continue
        if is_json and not _is_json(frame):
            findings.fail(where, f"expected valid JSON, got {shown(frame)}")
        length, most = len(frame.encode("utf-8", "replace")), examples.frame_bytes_max
        if most is not None and length > most:
            findings.fail(where, f"expected frames of at most {most} bytes, got one of {length}: {shown(frame)}")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _check_many(exchange: Exchange, examples: AdapterExamples, findings: Findings) -> None:
    """As many streams as one socket carries: each is asked for once, in frames that the venue takes."""
    invented = dict(islice(_invented(exchange, examples.streams[0]), min(exchange.streams_max or MANY_MAX, MANY_MAX)))
    streams = list(invented.values())
    if not streams:
        return
    for name, build in (("subscribe", exchange.subscribe), ("unsubscribe", exchange.unsubscribe)):
        where = f"{name} of {len(streams)} streams"
        for frames in findings.attempt(where, partial(build, streams, REQUEST_IDS[0])):
            _check_texts(frames, where, examples, findings)
            named = [{code for code in invented if code in frame.upper()} for frame in frames]
            times = [sum(code in each for each in named) for code in invented]
            findings.tried["streams asked for"] += len(streams)
            # A venue may have names of its own, which nobody can look for here.
            if any(times) and set(times) != {1}:
                findings.fail(where, f"expected each stream in one frame, got {min(times)} to {max(times)}")
            most = examples.streams_per_frame
            if most is not None and max(map(len, named), default=0) > most:
                findings.fail(where, f"expected at most {most} streams in a frame, got {max(map(len, named))}")


def _invented(exchange: Exchange, like: Stream) -> Iterator[tuple[str, Stream]]:
    """Streams of the same form with other letters: as many as the venue's ``check`` lets pass."""
    for letters in product("QXZ", ascii_uppercase, ascii_uppercase, "QXZ"):
        code = "".join(letters)
        stream = Stream(like.channel, code + like.symbol[3:])
        try:
            exchange.check(stream)
        except ConfigurationError:
            continue
        yield code, stream


# -- what comes back ---------------------------------------------------------------------------------------------------


def _replies(
    say: Callable[[str], Sequence[Frame]], frames: Sequence[str], where: str, findings: Findings
) -> list[Frame]:
    """What the venue says to frames; the examples may not understand what they should never be asked."""
    wanted = "frames that the examples' answer or refuse understands"
    said = [findings.attempt(where, partial(say, frame), wanted=wanted) for frame in frames]
    return [reply for attempts in said for replies in attempts for reply in replies]


def _answers(exchange: Exchange, replies: Sequence[Frame], where: str, findings: Findings) -> list[object]:
    """What the venue's answers are decoded to."""
    found: list[object] = []
    for reply in replies:
        findings.tried["answers"] += 1
        for message in findings.attempt(f"{where}: the answer {shown(reply)}", partial(exchange.decode, reply)):
            for text in unsound(message):
                findings.fail(f"{where}: the answer {shown(reply)}", text)
            found += flat(message)
    return found


def _check_subscribe(
    exchange: Exchange, examples: AdapterExamples, streams: Sequence[Stream], request_id: str, findings: Findings
) -> None:
    where = f"subscribe of {len(streams)} streams as {request_id!r}"
    for frames in findings.attempt(where, partial(exchange.subscribe, streams, request_id)):
        _check_texts(frames, where, examples, findings)
        replies = _replies(examples.answer, frames, where, findings)
        messages = _answers(exchange, replies, where, findings)
        taken = [each for each in messages if isinstance(each, Subscribed)]
        _check_ids(taken, request_id, where, examples, findings)
        if any(isinstance(each, Rejected) for each in messages):
            findings.fail(where, f"expected an acknowledgement, got {shown(messages)}")
        named = {stream for each in taken for stream in each.marks or ()}
        missing = set(streams) - named
        if missing and not any(each.marks is None for each in taken):
            listed = ", ".join(sorted(str(stream) for stream in missing))
            findings.fail(
                where, f"expected an acknowledgement of every stream, got none of {listed}: {shown(messages)}"
            )
        if strange := named - set(examples.streams):
            findings.fail(where, f"expected marks of streams as an app names them, got {sorted(map(str, strange))}")


def _check_ids(
    answers: Sequence[Subscribed | Unsubscribed | Rejected],
    request_id: str,
    where: str,
    examples: AdapterExamples,
    findings: Findings,
) -> None:
    """An answer names the request it answers. Where the venue's do not, None stands for all that is waiting."""
    allowed = {request_id} if examples.echoes_ids else {request_id, None}
    for answer in answers:
        if answer.request_id not in allowed:
            findings.fail(
                where,
                f"expected the request id {request_id!r} back in {type(answer).__name__}, got {answer.request_id!r}",
            )


def _check_unsubscribe(
    exchange: Exchange, examples: AdapterExamples, streams: Sequence[Stream], request_id: str, findings: Findings
) -> None:
    where = f"unsubscribe of {len(streams)} streams as {request_id!r}"
    for frames in findings.attempt(where, partial(exchange.unsubscribe, streams, request_id)):
        _check_texts(frames, where, examples, findings)
        messages = _answers(exchange, _replies(examples.answer, frames, where, findings), where, findings)
        _check_ids([each for each in messages if isinstance(each, Unsubscribed)], request_id, where, examples, findings)
        if wrong := [each for each in messages if isinstance(each, Rejected | Pong)]:
            findings.fail(where, f"expected the end of the streams, got {shown(wrong)}")


def _check_refusal(
    exchange: Exchange, examples: AdapterExamples, streams: Sequence[Stream], request_id: str, findings: Findings
) -> None:
    if examples.refuse is None:
        return
    where = f"a refused subscription of {len(streams)} streams as {request_id!r}"
    for frames in findings.attempt(where, partial(exchange.subscribe, streams, request_id)):
        replies = _replies(examples.refuse, frames, where, findings)
        refusals = [each for each in _answers(exchange, replies, where, findings) if isinstance(each, Rejected)]
        if replies and not refusals:
            findings.fail(where, f"expected Rejected for {shown(replies[0])}")
        _check_ids(refusals, request_id, where, examples, findings)
        for refusal in refusals:
            if not refusal.code:
                findings.fail(where, f"expected the venue's code, got {shown(refusal)}")
            if refusal.streams is not None and not set(refusal.streams) <= set(streams):
                findings.fail(where, f"expected streams that were asked for, got {shown(refusal.streams)}")


def _check_pings(exchange: Exchange, examples: AdapterExamples, findings: Findings) -> None:
    """A pong has the id of its PING; without PINGs nothing is asked."""
    pings = [ping for each in PING_IDS for ping in findings.attempt(f"ping {each!r}", partial(exchange.ping, each))]
    if any(ping is None for ping in pings):
        findings.check("ping: always None, or never", expected=[None] * len(PING_IDS), got=pings)
        return
    for request_id, ping in zip(PING_IDS, pings, strict=False):
        where = f"ping {request_id!r}"
        _check_texts([ping or ""], where, examples, findings, is_json=False)
        messages = _answers(exchange, _replies(examples.answer, [ping or ""], where, findings), where, findings)
        findings.check(where, expected=[Pong(request_id=request_id)], got=messages)
