"""What the app was told, held against the books: every id owed is delivered once, lost, or in an open gap."""

from collections.abc import Iterable
from typing import NamedTuple

from gapless.controller import AnyEvent, ContinuityLost, GapFilled, GapFound, MarketData, StreamReset
from tests.exhaustive.plane import View


class ViolationError(AssertionError):
    """The contract was broken."""


def bits(ranges: Iterable[tuple[int, int]]) -> int:
    """Ids as a bit mask."""
    return sum((1 << high + 1) - (1 << low) for low, high in ranges)


class Account(NamedTuple):
    """Of the epoch that the app believes in. Delivered and lost are one set: neither may be followed by either."""

    closed: int
    announced: int
    """Ids of the gaps the app was told of and not told the end of."""
    owed_from: int | None
    """None: no subscription was acknowledged with a mark yet."""
    epoch: str | None = None

    def acknowledged(self, mark: int) -> "Account":
        return self if self.owed_from is not None else self._replace(owed_from=mark + 1)

    def heard(self, event: AnyEvent) -> "Account":
        match event:
            case MarketData(sequence_id=int(number), epoch=epoch, price=true_epoch):
                if epoch != f"e-{int(true_epoch)}" or self.epoch not in {None, epoch}:
                    raise ViolationError(f"{number} of e-{int(true_epoch)} is delivered as one of {epoch}")
                return self._closed(1 << number, f"{number} is delivered")._replace(epoch=epoch)
            case GapFound(start_seq=start, end_seq=end):
                found = bits([(start, end)])
                if found & (self.announced | self.closed):
                    raise ViolationError(f"{start}..{end} is announced as missing and is not")
                return self._replace(announced=self.announced | found)
            case GapFilled(start_seq=start, end_seq=int(end)):
                filled = bits([(start, end)])
                if filled & ~self.closed or filled & ~self.announced:
                    raise ViolationError(f"{start}..{end} is announced as filled and is not")
                return self._replace(announced=self.announced & ~filled)
            case ContinuityLost(start_seq=start, end_seq=int(end)):
                lost = bits([(start, end)])
                return self._closed(lost, f"{start}..{end} is lost")._replace(announced=self.announced & ~lost)
            case ContinuityLost(start_seq=start):
                if self.closed >> start or self.announced:
                    raise ViolationError(f"the epoch ended at {start}, and more than that was known")
                return self
            case StreamReset(new_epoch=epoch):
                return Account(closed=0, announced=0, owed_from=1, epoch=epoch)
        raise ViolationError(f"unexpected: {event!r}")

    def _closed(self, mask: int, what: str) -> "Account":
        if mask & self.closed:
            raise ViolationError(f"{what}, which was delivered or reported lost before")
        return self._replace(closed=self.closed | mask)

    def must_agree_with(self, view: View) -> None:
        """Raises ViolationError where what the app knows and what the books say is not the same."""
        gaps, tentative = bits(view.gaps), bits(view.tentative)
        if gaps != self.announced:
            raise ViolationError("the gaps that are open and those that the app knows of differ")
        if self.closed & (gaps | tentative):
            raise ViolationError("an id that was delivered or lost is missing as well")
        if view.next_id is None:
            accounted = self.closed == 0
        else:
            known = self.closed | gaps | tentative
            low = (known & -known).bit_length() - 1 if known else view.next_id
            if self.owed_from is not None:
                low = min(low, self.owed_from)
            accounted = known == (bits([(low, view.next_id - 1)]) if low < view.next_id else 0)
        if not accounted:
            raise ViolationError("an id that is owed is neither delivered, nor lost, nor in an open gap")


NOTHING_YET = Account(closed=0, announced=0, owed_from=None)
