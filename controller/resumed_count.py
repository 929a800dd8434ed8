"""A count of ids that a cursor alone vouches for: believed until the venue is seen to be as far, or denies it. Pure.

A cursor may not fit its venue: it is of another network, its venue has lost what it had issued, or a corrupt id was
taken for true. Then all that comes is lower than what the app seems to have, and would be dropped for ever.

A venue whose sides lag behind looks the same for a while. So nothing short of this ends a count: both sides of the
venue speak of lower ids, REST of no lower one than the socket, and both have gone on, and are still below
:data:`DENIED_S` later. Late duplicates alone, a replica of REST that is behind or stuck, and a market that sleeps do
not.
"""

from typing import Final, NamedTuple

DENIED_S: Final = 60.0
"""Seconds that both sides go on below a count before it is over. No venue's socket and REST are both a minute behind
their own data; and whoever opens the wrong cursor waits no longer than that for the right data."""


class _Denial(NamedTuple):
    at: float
    live_head: int
    last_seq: int


class ResumedCount:
    """What one stream's cursor says.

    Args:
        next_id: of the cursor: everything below it was issued.
    """

    __slots__ = ("_denied", "_next_id", "told_in")

    def __init__(self, next_id: int) -> None:
        self._next_id = next_id
        self._denied: _Denial | None = None
        self.told_in: int | None = None
        """The last generation in which somebody was told to look."""

    def is_confirmed(self, next_id: int | None, shown: int | None) -> bool:
        """Whether the books have gone on from there, or the venue has shown as much as it says."""
        return next_id != self._next_id or (shown is not None and shown >= self._next_id - 1)

    def is_denied(self, *, last_seq: int, live_head: int, at: float) -> int | None:
        """Hear that both sides of the venue are below: the first id of the count that is the true one, once they are.

        Args:
            last_seq: what REST says it has issued.
            live_head: the newest that the socket had shown when REST was asked.
            at: monotonic seconds of that.
        """
        if last_seq < live_head:
            # This one is behind the socket, wherever that is.
            return None
        first = self._denied
        if first is None or last_seq < first.last_seq:
            self._denied = _Denial(at, live_head, last_seq)
            return None
        if at - first.at < DENIED_S or last_seq == first.last_seq or live_head <= first.live_head:
            return None
        return max(first.live_head, 1)
