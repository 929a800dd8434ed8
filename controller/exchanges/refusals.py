"""What an error on a socket means for whoever asked. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from gapless.controller.events import NoticeKind
from gapless.controller.exchange import Outcome, ReplyReading
from gapless.controller.messages import Notice, Rejected
from gapless.controller.stream import Stream

_PASSING: Final[Mapping[Outcome, NoticeKind]] = {Outcome.LIMITED: "limited", Outcome.UNAVAILABLE: "maintenance"}


def refusal(
    reading: ReplyReading, *, is_subscription: bool, request_id: str | None, streams: Sequence[Stream] | None
) -> Rejected | Notice:
    """The refusal of a subscription, or what the venue has to say otherwise.

    Trouble that passes refuses nothing: the subscription stays without an answer, and so the socket is tried anew.
    """
    kind: NoticeKind = _PASSING.get(reading.outcome, "error")
    if is_subscription and kind == "error":
        return Rejected(request_id=request_id, streams=streams, code=reading.code, message=reading.message)
    return Notice(kind=kind, code=reading.code, message=reading.message)
