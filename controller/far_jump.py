"""A jump beyond the guard that the socket alone has confirmed: believed, until the stream goes on below it. Pure."""


class FarJump:
    """Two ids far ahead continued each other; both may have been corrupt.

    Args:
        start: the cursor before the jump.
        end: the id that confirmed it.
    """

    __slots__ = ("_last_below", "end", "start")

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end
        self._last_below: int | None = None

    def is_refuted_by(self, sequence_id: int) -> bool:
        """Whether this live id, far below the cursor, proves the jump corrupt: the second in a row does.

        One alone could be a late one; and what lies below the start of the jump says nothing about it.
        """
        in_a_row = self._last_below == sequence_id - 1 and sequence_id >= self.start
        self._last_below = sequence_id
        return in_a_row
