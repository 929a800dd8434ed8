"""What an adapter's author knows about the venue, written down: what it sends, and what that must mean.

Take it from the venue's documentation and from recorded traffic, never from the adapter: the two are compared.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from gapless.controller import Stream
from gapless.controller.exchange import HistoryQuery, RestReply

Frame: TypeAlias = str | bytes
"""A frame as the socket gives it."""


class Expect:
    """A message, page, row or reading: its class, and those of its fields that matter.

    >>> Expect(Pong, request_id="p-1")
    Pong(request_id='p-1')

    Values are compared with ``==``; an :class:`Expect` in the place of a value, or in a sequence of them, is held
    against what stands there. A subclass of ``kind`` is not what was expected.
    """

    def __init__(self, kind: type, /, **fields: object) -> None:
        self.kind = kind
        self.fields = fields

    def __repr__(self) -> str:
        return f"{self.kind.__name__}({', '.join(f'{name}={value!r}' for name, value in self.fields.items())})"


@dataclass(frozen=True, kw_only=True)
class LiveRun:
    """Data frames of one stream, one after another, as recorded.

    Attributes:
        stream: as an app names it.
        frames: in their order.
        ids: the sequence ids that the frames carry, in order; None where one carries none.
    """

    stream: Stream
    frames: Sequence[Frame]
    ids: Sequence[int | None]


@dataclass(frozen=True, kw_only=True)
class PageExample:
    """A query of history, the request that asks it, the reply, and the page in it.

    Attributes:
        query: what the controller wants to know. Only with ``since``, for venues that are asked by time, rows may lie
            before ``start_seq``.
        reply: what the venue answers.
        page: what that means; name ``more``, ``cursor``, ``first_seq`` and ``last_seq``.
        ids: of the rows, oldest first.
        request: path and query of the request, the parameters in any order: ``/v1/trades?market=X&from=42``.
        weight: what the request costs, as documented.
    """

    query: HistoryQuery
    reply: RestReply
    page: Expect
    ids: Sequence[int | None]
    request: str
    weight: int = 1


@dataclass(frozen=True, kw_only=True)
class SnapshotExample:
    """A reply about an account stream, the path that is asked for it, and what it means."""

    stream: Stream
    request: str
    reply: RestReply
    snapshot: Expect


@dataclass(frozen=True, kw_only=True)
class AdapterExamples:
    """A venue, by examples.

    Attributes:
        streams: some that it has, at least one of each kind.
        unknown_streams: some that it can never have; ``check`` must refuse them.
        frames: what it sends, one of each sort, and what each means. Requests that they answer were never made: ids
            other than ``s-1``, ``s-2`` and ``g12-s-345``, which are, keep an adapter pure that remembers its requests.
        runs: data as it comes, at least three frames for each sequence rule in use.
        answer: what it answers to a frame of the client: acknowledgements, pongs, or nothing.
        refuse: what it answers to a subscription of streams that it does not have; None: it never says.
        echoes_ids: whether its answers name the request they answer.
        streams_per_frame: how many it takes in one frame; None: any number.
        frame_bytes_max: how long a frame of the client may be; None: any length.
        pages: replies of history, at least one for each stream that has one.
        replies: other replies, errors above all, and what each is good for.
        snapshots: of account streams.
        seed: of the mutations; the same seed gives the same ones.
    """

    streams: Sequence[Stream]
    frames: Sequence[tuple[Frame, Expect]]
    answer: Callable[[str], Sequence[Frame]]
    unknown_streams: Sequence[Stream] = ()
    runs: Sequence[LiveRun] = ()
    refuse: Callable[[str], Sequence[Frame]] | None = None
    echoes_ids: bool = True
    streams_per_frame: int | None = None
    frame_bytes_max: int | None = None
    pages: Sequence[PageExample] = ()
    replies: Sequence[tuple[RestReply, Expect]] = ()
    snapshots: Sequence[SnapshotExample] = ()
    seed: int = 1


def rest_reply(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> RestReply:
    """A reply; ``content`` becomes JSON, bytes are taken as they are. Header names are made lower case."""
    body = content if isinstance(content, bytes) else msgspec.json.encode(content)
    return RestReply(status=status, headers={name.lower(): text for name, text in (headers or {}).items()}, body=body)
