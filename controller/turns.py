"""When a piece of data is handed over: as it arrives, or in its turn, after whatever is missing before it. No I/O."""

from typing import Final

from gapless.controller.delivery import DeliveryBuffer
from gapless.controller.events import GapFilled, SnapshotRead
from gapless.controller.hold_back import Data
from gapless.controller.subscription import Subscription

_ALL = 2**64
"""Above any id."""


class Turns:
    """The way of data from the books into the buffer.

    Args:
        delivery: the buffer.
        in_sequence: whether what lies behind a hole waits.
    """

    def __init__(self, delivery: DeliveryBuffer, *, in_sequence: bool) -> None:
        self._delivery = delivery
        self.in_sequence: Final = in_sequence

    def deliver(self, subscription: Subscription, sequence_id: int | None, event: Data) -> None:
        """Hand one piece over, or hold it back."""
        if not self.in_sequence or sequence_id is None:
            self._delivery.put_data(event)
        elif self._must_wait(subscription, sequence_id):
            self._delivery.hold_back(subscription, sequence_id, event)
        else:
            # One page may fill several holes: what waited between them goes before.
            self._delivery.release(subscription, sequence_id)
            self._delivery.put_data(event)

    def announce(self, subscription: Subscription, covers: int | None, word: SnapshotRead) -> None:
        """Say that a snapshot follows, which nothing may come in between of."""
        if self.in_sequence and covers is not None:
            self._delivery.release(subscription, covers)
        self._delivery.put(word)

    def tell(self, subscription: Subscription, word: GapFilled) -> None:
        """Say that ids of a gap were delivered: after they were."""
        if not self.in_sequence:
            self._delivery.put(word)
        elif self._must_wait(subscription, word.end_seq):
            self._delivery.hold_word_back(subscription, word)
        else:
            self._delivery.release(subscription, word.end_seq + 1)
            self._delivery.put(word)

    def free(self, subscription: Subscription) -> None:
        """A hole, or a part of it, is no more: what waited behind it alone need not wait."""
        if self.in_sequence:
            first_missing = subscription.ledger.first_missing
            self._delivery.release(subscription, first_missing if first_missing is not None else _ALL)

    def drop(self, subscription: Subscription, start: int = 0) -> None:
        """What waits from an id on was corrupt, or belongs to books that are closed: it is handed over never."""
        if self.in_sequence:
            self._delivery.drop(subscription, start)

    def room_for(self, subscription: Subscription, sequence_id: int) -> int:
        """How many more data fit where this id would go: to the app, or behind a hole."""
        waits = self.in_sequence and self._must_wait(subscription, sequence_id)
        return self._delivery.hold_room if waits else self._delivery.room

    def is_full_for(self, subscription: Subscription, sequence_id: int | None) -> bool:
        """Whether live data does not fit, in an overflow.

        Where only the hold-back is full, what need not wait fits: the gap of one stream costs the others nothing.
        """
        self._delivery.make_room()
        if not self._delivery.overflowing:
            return False
        if self._delivery.queue_overflows or not self.in_sequence:
            return True
        return sequence_id is not None and self._must_wait(subscription, sequence_id)

    def _must_wait(self, subscription: Subscription, sequence_id: int) -> bool:
        first_missing = subscription.ledger.first_missing
        return first_missing is not None and sequence_id > first_missing
