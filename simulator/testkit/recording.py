"""Everything an app received, and what a test asks of it: waits, views, and the walk through the states."""

import sys
from collections.abc import Callable
from typing import Final, TypeVar

import trio

from gapless.controller import (
    AnyEvent,
    ContinuityLost,
    Event,
    MarketData,
    Source,
    State,
    StateChanged,
    Stream,
)
from gapless.simulator.testkit.deliveries import StreamKey
from gapless.simulator.testkit.walk import difference, first_unpassed, shown
from gapless.states import TABLE

WITHIN_S: Final = 60.0
"""Seconds a test waits unless it says otherwise: two failed attempts and their backoffs; virtual ones cost nothing."""

TICKER: Final = Stream("ticker", "BTC/USD")
"""The first stream of a world, and the one that is meant where a test names none."""
ETHER: Final = Stream("ticker", "ETH/USD")
"""The other one."""

_ALL: Final = sys.maxsize

EventT = TypeVar("EventT", bound=Event)


class WaitTimeoutError(AssertionError):
    """What a test waited for did not come. The message says what, where the controller is and how it got there."""


class Recording:
    """The events of one app, in order.

    It needs no controller: pass :meth:`record` as ``on_message``, or call it for each event of the app's own loop.
    :meth:`~gapless.simulator.testkit.world.World.feed` gives one that is filled already.

    Methods by kind. Filling: :meth:`record`. Views: :attr:`events`, :meth:`of`, :attr:`data`, :attr:`lost`,
    :attr:`moves`, :meth:`moved`, :meth:`ids`, :attr:`path`, :attr:`state`. Waiting: :meth:`until`, :meth:`until_state`.
    Asserting: :meth:`assert_path`, :meth:`assert_passed`.
    """

    def __init__(self) -> None:
        self.events: list[AnyEvent] = []
        """Everything so far."""
        self._state = TABLE.initial
        self._newest: dict[StreamKey, int] = {}
        self._heard = trio.Event()

    def record(self, event: AnyEvent) -> None:
        """Note the next event the app received."""
        self.events.append(event)
        if isinstance(event, MarketData):
            self._note(event, event.sequence_id or 0)
        elif isinstance(event, ContinuityLost):
            self._note(event, _ALL if event.end_seq is None else event.end_seq)
        elif isinstance(event, StateChanged):
            self._state = event.after
        self._heard.set()
        self._heard = trio.Event()

    def _note(self, event: MarketData | ContinuityLost, number: int) -> None:
        key = StreamKey(event.epoch or "-", event.channel, event.symbol)
        self._newest[key] = max(self._newest.get(key, 0), number)

    # -- views --------------------------------------------------------------------------------------------------------

    def of(self, kind: type[EventT]) -> list[EventT]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def data(self) -> list[MarketData]:
        """The market data."""
        return self.of(MarketData)

    @property
    def lost(self) -> list[ContinuityLost]:
        """What was reported lost."""
        return self.of(ContinuityLost)

    @property
    def moves(self) -> list[StateChanged]:
        """The transitions."""
        return self.of(StateChanged)

    def moved(self, to: State) -> list[StateChanged]:
        """The transitions that led to this state."""
        return [move for move in self.moves if move.after is to]

    @property
    def path(self) -> list[str]:
        """The names of the states entered, the initial one first."""
        return [TABLE.initial.name, *(move.after.name for move in self.moves)]

    @property
    def state(self) -> State:
        """Where the controller is, as far as the app has heard; it may be further already."""
        return self._state

    def ids(self, source: Source | None = None, stream: Stream = TICKER) -> list[int | None]:
        """The sequence ids of a stream in the order in which they came; ``source``: only what came that way."""
        return [
            event.sequence_id
            for event in self.data
            if (event.channel, event.symbol) == (stream.channel, stream.symbol)
            and (source is None or event.source is source)
        ]

    def newest(self, key: StreamKey) -> int:
        """The highest id that was delivered or reported lost; 0: none."""
        return self._newest.get(key, 0)

    # -- waiting ------------------------------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], bool], within_s: float = WITHIN_S, *, what: str = "") -> None:
        """Wait until something holds; looked at whenever the app has received something.

        Args:
            condition: what to wait for.
            within_s: how long, in seconds of the clock of the run.
            what: how the error names it; without it, by the line of the condition.

        Raises:
            WaitTimeoutError: it did not come.
        """
        with trio.move_on_after(within_s):
            while not condition():
                await self._heard.wait()
            return
        raise self.timed_out(what or _named(condition), within_s)

    async def until_state(self, state: State, within_s: float = WITHIN_S) -> None:
        """Wait until the app has heard that this state is entered; returns at once where it is there.

        Raises:
            WaitTimeoutError: it did not come.
        """
        await self.until(lambda: self.state is state, within_s, what=state.name)

    def timed_out(self, what: str, within_s: float) -> WaitTimeoutError:
        """The error of a wait: what was expected, where the controller is, how it got there."""
        return WaitTimeoutError(
            f"expected {what} within {within_s:g} s, and it did not come.\n"
            f"{self.situation()}; its last transitions:\n{shown(self.moves)}"
        )

    def situation(self) -> str:
        """Where the controller is, in words."""
        return f"The controller is in {self.state.name}, {len(self.data)} data and {len(self.lost)} losses came"

    # -- the walk -----------------------------------------------------------------------------------------------------

    def assert_path(self, *states: State) -> None:
        """The walk so far is exactly this one, from the initial state on.

        Raises:
            AssertionError: it is another one; the message compares the two.
        """
        if [state.name for state in states] != self.path:
            raise AssertionError(
                f"another path was expected (- expected, + came):\n{difference(states, self.path)}\n"
                f"the transitions:\n{shown(self.moves)}"
            )

    def assert_passed(self, *states: State) -> None:
        """These states were passed through in this order; others may lie between.

        Raises:
            AssertionError: one of them did not come after the one before.
        """
        missed = first_unpassed(states, self.path)
        if missed is None:
            return
        after = f" after {', '.join(state.name for state in states[:missed])}" if missed else ""
        raise AssertionError(
            f"expected to pass {', '.join(state.name for state in states)}: {states[missed].name} did not come{after} "
            f"(- expected, + came):\n{difference(states, self.path)}\nthe transitions:\n{shown(self.moves)}"
        )


def _named(condition: Callable[[], bool]) -> str:
    code = getattr(condition, "__code__", None)
    if code is None:
        return f"the condition {condition!r}"
    return f"the condition at {code.co_filename}:{code.co_firstlineno}"
