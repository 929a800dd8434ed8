"""What the socket said about single orders or assets, so that an older snapshot does not come behind it. Pure."""

from gapless.controller.events import Balance, Order

UPDATES_REMEMBERED = 10_000
"""Orders or assets remembered per stream. Only those matter that changed while a snapshot was on its way, seconds."""


def subject(content: Order | Balance) -> str:
    """Which order, or which asset, a piece of account data is about."""
    return content.order_id if isinstance(content, Order) else content.asset


class LiveUpdates:
    """The newest live update of each order or asset of one account stream.

    >>> updates = LiveUpdates()
    >>> updates.note(Balance(asset="USD", free=1.0), 7)
    >>> updates.are_newer(Balance(asset="USD", free=2.0), covers=6, count=0)
    True
    >>> updates.are_newer(Balance(asset="EUR", free=2.0), covers=6, count=0)
    False
    """

    def __init__(self) -> None:
        self.count = 0
        """How many came."""
        self.newest: Order | Balance | None = None
        """The last one that had an id."""
        self._of_subject: dict[str, tuple[int | None, int]] = {}

    def note(self, content: Order | Balance, sequence_id: int | None) -> None:
        """One is delivered."""
        self.count += 1
        if sequence_id is not None:
            self.newest = content
        key = subject(content)
        before = self._of_subject.pop(key, (None, 0))[0]
        if before is not None and sequence_id is not None:
            sequence_id = max(before, sequence_id)
        self._of_subject[key] = (sequence_id, self.count)
        if len(self._of_subject) > UPDATES_REMEMBERED:
            del self._of_subject[next(iter(self._of_subject))]

    def are_newer(self, content: Order | Balance, *, covers: int | None, count: int) -> bool:
        """Whether one of this order or asset is newer than a row of a snapshot.

        Args:
            content: the row.
            covers: the last id that the snapshot knows; None: it does not say.
            count: how many there were when it was asked for.
        """
        newest = self._of_subject.get(subject(content))
        if newest is None:
            return False
        sequence_id, ordinal = newest
        return ordinal > count if covers is None or sequence_id is None else sequence_id > covers

    def clear(self) -> None:
        """The books begin anew: older ids tell nothing. What is counted goes on."""
        self.newest = None
        self._of_subject.clear()
