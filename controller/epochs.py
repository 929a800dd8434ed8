"""Which epoch of the venue the books are in, and which are over. Pure.

A venue that restarts counts its ids from 1 again; an epoch names one such count. Epochs come in no order that their
names would tell. A socket's word is final: the epoch before is over. REST may be asked while no socket is there, and
answer from a replica that is behind the times; so what REST alone says is believed, and can be denied. But a socket
may lead to such a replica, too: of the two epochs the doubted one is believed as soon as three sockets in a row speak
of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gapless.controller.cursor import EPOCHS_MAX, PastEpochs

VOTES: Final = 3
"""Sockets in a row that must speak of the doubted epoch."""


@dataclass(frozen=True, slots=True)
class Turn:
    """From one epoch to another. ``returns``: the books were in the new one before.

    The caller has the last word: it tells what was lost of the old epoch, and then sets :attr:`Epochs.current`.
    """

    old: str
    new: str
    returns: bool


class Epochs:
    """The epoch the books are in."""

    def __init__(self) -> None:
        self.current: str | None = None
        self.confirmed = False
        """Whether a socket has spoken of the current epoch."""
        self.votes = 0
        """Sockets that have spoken of the doubted epoch since any spoke of the current one."""
        self._doubted: str | None = None
        """The other epoch that may be the true one."""
        self._returned = False
        """Whether the current epoch was left once, on the word of REST alone; REST alone speaks of the doubted one."""
        self._left: list[str] = []

    @property
    def past(self) -> PastEpochs:
        """What a cursor has to tell of the other epochs."""
        return PastEpochs(
            confirmed=self.confirmed,
            doubted=self._doubted,
            returned=self._returned,
            votes=self.votes,
            left=list(self._left),
        )

    def resume(self, current: str | None, past: PastEpochs, told_of: Iterable[str] = ()) -> None:
        """Go on where a cursor says. ``told_of``: epochs that it names besides, oldest first."""
        left = [epoch for epoch in dict.fromkeys([*told_of, *past.left]) if epoch != current]
        self.current, self.confirmed, self.votes = current, past.confirmed, past.votes
        # One that was stored without it, by an older version: then nobody knows whether a socket has confirmed it.
        self._doubted = past.doubted or (left[-1] if left and not past.confirmed else None)
        self._returned = past.returned
        if self._doubted is not None and self._doubted not in left:
            left.append(self._doubted)
        self._left = left[-EPOCHS_MAX:]

    def was_left(self, epoch: str) -> bool:
        """Whether a reply of this epoch is out of date."""
        return epoch in self._left

    def turns_away(self, epoch: str) -> bool:
        """Hear a socket that speaks of this epoch, and say whether it is out of date; where there is doubt it votes."""
        if epoch == self._doubted:
            self.votes += 1
            return self.votes < VOTES
        return epoch in self._left

    def enter(self, epoch: str, *, confirmed: bool) -> Turn | None:
        """A socket (``confirmed``), or REST alone, speaks of this epoch. None: that is nothing new, or the first."""
        old, self.current = self.current, self.current or epoch
        was_confirmed, self.confirmed = self.confirmed, confirmed or (self.confirmed and old == epoch)
        if old is None:
            return None
        if old == epoch:
            if confirmed:
                self.votes = 0
                self._doubted = self._doubted if self._returned else None
            return None
        self._returned = epoch == self._doubted
        if self._returned:
            self._left.remove(epoch)
        self._left.append(old)
        del self._left[:-EPOCHS_MAX]
        self._doubted = old if self._returned or (was_confirmed and not confirmed) else None
        self.votes = 0
        return Turn(old, epoch, self._returned)
