"""What a witness may see of a run, and the promise it keeps an eye on.

Everything here comes from outside the controller: the socket and the HTTP client it was given, the exchange's record,
the events the app received, the tasks that trio runs. What the controller says about itself is what is judged.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from gapless.controller import AnyEvent, StateChanged, Stream
from gapless.simulator.testkit.deliveries import Point

VIOLATIONS_MAX: Final = 5
"""Texts kept per promise; what breaks once usually breaks a thousand times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One batch of frames, as it came out of the socket.

    Attributes:
        epoch: of the socket, as its WELCOME named it.
        ids: channel, symbol and id of each frame that is market data beyond doubt.
        points: what each of them says.
        streams: channel and symbol of those that are news: newer than all that this socket has shown of the stream.
        perhaps: whether one of them may be news, or answers a subscription: what may restart a window. A message that
            is sent again and again is none.
        doubtful: whether one of them looks like market data, and nobody can say of which id.
        leads: whether no older socket is open: what a successor in waiting says is no word of the one it is to follow.
    """

    epoch: str
    ids: tuple[tuple[str, str, int], ...]
    points: tuple[Point, ...]
    streams: tuple[tuple[str, str], ...]
    perhaps: bool
    doubtful: bool
    leads: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One REST request, as it left."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One REST reply's head, as it came. ``retry_after_s`` None: it did not ask to wait."""

    status: int
    retry_after_s: float | None


class Watch:
    """Sees a run go by and says what was broken. Methods get ``now``, monotonic seconds; all are optional."""

    promise: ClassVar[str]
    """What is watched over, in a few words."""

    def __init__(self) -> None:
        self._violations: list[str] = []
        self._count = 0
        self.on_broken: Callable[[], None] = lambda: None
        """Called whenever the promise is broken, at once."""

    def broken(self, now: float, text: str) -> None:
        """Note a broken promise."""
        self._count += 1
        self.on_broken()
        if len(self._violations) < VIOLATIONS_MAX:
            self._violations.append(f"{self.promise}: at {now:.3f} s: {text}")

    def verdicts(self) -> Iterator[str]:
        """What was broken, in words."""
        yield from self._violations
        if self._count > len(self._violations):
            yield f"{self.promise}: and {self._count - len(self._violations)} more"

    def transition(self, now: float, event: StateChanged) -> None:
        """The controller moved; told at once, before anything else happens."""

    def settled(self, now: float) -> None:
        """A fraction of a second has passed since the last transition."""

    def dialled(self, now: float) -> None:
        """A socket is about to be dialled."""

    def opened(self, now: float) -> None:
        """A handshake is done."""

    def closed(self, now: float) -> None:
        """A socket that was open is closed."""

    def told_to_wait(self, now: float, until: float) -> None:
        """The venue said, by a refused handshake or a GOODBYE, that it is not to be dialled before ``until``."""

    def pinged(self, now: float) -> None:
        """A PING left."""

    def acknowledged(self, now: float, stream: Stream, epoch: str, mark: int, sent_at: float) -> None:
        """The venue answered a SUBSCRIBE sent at ``sent_at``: ids above ``mark`` will come by this socket."""

    def heard(self, now: float, heard: Heard) -> None:
        """Frames came."""

    def asked(self, now: float, request: Asked) -> None:
        """A REST request left."""

    def answered(self, now: float, reply: Answered) -> None:
        """A REST reply came."""

    def received(self, now: float, event: AnyEvent) -> None:
        """The app took an event."""

    def excused(self, until: float) -> None:
        """The whole process, or its clock, stood still: no deadline can be kept before ``until``."""

    def ended(self, now: float) -> None:
        """The run is over and the controller is closed."""

    def complete(self, now: float) -> None:
        """After :meth:`ended`, where everything had its time to arrive: what is owed must be there."""


class Watches:
    """Hands what is seen to those who look for it: a hook costs only the watches that have one."""

    def __init__(self, watches: "list[Watch]") -> None:
        self._watches = watches
        self.transition = self._fan("transition")
        self.settled = self._fan("settled")
        self.dialled = self._fan("dialled")
        self.opened = self._fan("opened")
        self.closed = self._fan("closed")
        self.told_to_wait = self._fan("told_to_wait")
        self.pinged = self._fan("pinged")
        self.acknowledged = self._fan("acknowledged")
        self.heard = self._fan("heard")
        self.asked = self._fan("asked")
        self.answered = self._fan("answered")
        self.received = self._fan("received")
        self.excused = self._fan("excused")
        self.ended = self._fan("ended")
        self.complete = self._fan("complete")

    def _fan(self, hook: str) -> "Callable[..., None]":
        hooks = [getattr(each, hook) for each in self._watches if getattr(type(each), hook) is not getattr(Watch, hook)]

        def fan(*args: object) -> None:
            for each in hooks:
                each(*args)

        return fan

    def verdicts(self) -> list[str]:
        """Everything that was broken, the promises in the order of the watches."""
        return [text for each in self._watches for text in each.verdicts()]
