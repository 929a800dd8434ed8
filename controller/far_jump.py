"""A jump beyond the guard that the socket alone has confirmed: believed, until the stream goes on below it. Pure."""


class FarJump:
    """Two ids far ahead continued each other; both may have been corrupt.

    Args:
        start: the cursor before the jump.
        reach: how far one id may lie above another to continue it.
        is_hole: whether what was jumped over is a gap; a sparse stream may have nothing there.
    """

    __slots__ = ("_last_below", "end", "first_below", "is_hole", "reach", "start")

    def __init__(self, start: int, end: int, *, reach: int, is_hole: bool) -> None:
        self.start = start
        self.end = end
        self.reach = reach
        self.is_hole = is_hole
        self.first_below = start
        """Of the two ids that refuted it, the lower."""
        self._last_below: int | None = None

    def is_refuted_by(self, sequence_id: int) -> bool:
        """Whether this live id, far below the cursor, proves the jump corrupt: the second in a row does.

        One alone could be a late one; and what lies below the start of the jump says nothing about it.
        """
        before, self._last_below = self._last_below, sequence_id
        if before is None or sequence_id < self.start or not 0 < sequence_id - before <= self.reach:
            return False
        self.first_below = max(before, self.start)
        return True
