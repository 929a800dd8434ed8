"""An app on the reference exchange that is killed at random moments, with faults on, and what its store holds then."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Final

import trio
from msgspec.structs import replace

from gapless.controller import (
    AnyEvent,
    ConnectionController,
    ContinuityLost,
    MarketData,
    NetworkConfig,
    State,
    Stream,
    StreamReset,
    open_controller,
)
from gapless.controller.cursor import Cursor
from gapless.controller.exchange import MarketUpdate, Message
from gapless.controller.exchanges import ReferenceExchange
from gapless.simulator import FailuresConfig
from gapless.simulator.failure_modes import (
    EvictedMode,
    FailureMode,
    Mode,
    RefuseMode,
    ReorderMode,
    RestMode,
    SelectMode,
    ServerErrorMode,
    StaleReplyMode,
)
from tests.kit import ETHER, TICKER, World, virtual_wall_clock, world

CORRUPT_FROM: Final = 10**9
"""No id of these stories is as high."""
_LAST_LIFE_S: Final = 600.0
"""Virtual seconds without faults, in which all that is owed has to come."""
_MODES: Final[Mapping[str, Callable[[Random], Mode]]] = {
    "drop": lambda r: SelectMode(enabled=True, probability=r.choice([0.02, 0.2, 0.5])),
    "duplicate": lambda r: SelectMode(enabled=True, probability=r.choice([0.02, 0.5])),
    "reorder": lambda r: ReorderMode(enabled=True, probability=0.2, distance=r.choice([1, 8])),
    "disconnect": lambda r: FailureMode(enabled=True, after_messages=r.choice([3, 20, 60])),
    "silent_connection": lambda r: FailureMode(enabled=True, after_messages=r.choice([3, 20])),
    "pong_only": lambda r: FailureMode(enabled=True, after_messages=r.choice([3, 20])),
    "server_error": lambda r: ServerErrorMode(enabled=True, probability=r.choice([0.2, 1.0])),
    "stale_reply": lambda r: StaleReplyMode(enabled=True, behind=r.choice([3, 30])),
    "cut_reply": lambda _: RestMode(enabled=True, probability=0.5),
    "refuse": lambda _: RefuseMode(enabled=True),
    "evicted_history": lambda _: EvictedMode(enabled=True, keep=10),
}


class Garbling(ReferenceExchange):
    """An adapter to whose decoder some ids look like others."""

    def __init__(self, *, ws_url: str, rest_url: str, session_id: str) -> None:
        super().__init__(ws_url=ws_url, rest_url=rest_url, session_id=session_id)
        self.next_ids: list[int] = []

    def decode(self, frame: str | bytes) -> Message:
        message = super().decode(frame)
        if isinstance(message, MarketUpdate) and message.symbol == TICKER.symbol and self.next_ids:
            return replace(message, sequence_id=self.next_ids.pop(0))
        return message


@dataclass
class Story:
    """One seed: what was drawn, what the store holds, and what happened at the moments of death."""

    seed: int
    seen: Counter[str] = field(default_factory=Counter)
    events: list[AnyEvent] = field(default_factory=list)
    cursors: list[Cursor] = field(default_factory=list)
    issued: dict[tuple[str, str], int] = field(default_factory=dict)
    epochs: Sequence[str] = ()

    def __post_init__(self) -> None:
        r = self._random = Random(self.seed)
        self.streams = [TICKER, ETHER] if r.random() < 0.5 else [TICKER]
        self._garbles = r.random() < 0.4
        self._settings = {
            "ordering": r.choice(["arrival", "sequence"]),
            "overflow": "refetch" if self._garbles else r.choice(["refetch", "refetch", "conflate"]),
            "reorder_window": r.choice([0.0, 0.0, 0.2]),
            "buffer_size": r.choice([4, 20, 60, 1000]),
            "price_history_limit": r.choice([15, 50, 1000]),
            "open_intervals_max": 1000 if self._garbles else r.choice([5, 1000]),
            "sequence_jump_max": 100_000 if self._garbles else r.choice([30, 100_000]),
            "reconnect_max_attempts": None,
            "reconnect_max_backoff": 5.0,
            "ws_idle_timeout": 3.0,
        }
        self._pending: list[AnyEvent] = []
        self._exchange: Garbling | None = None
        self._life = trio.CancelScope()

    async def tell(self) -> None:
        """Live it through."""
        r = self._random
        history = r.choice([30, 200, 100_000])
        async with world(rate_per_s=r.choice([2.0, 8.0]), seed=self.seed, history_size=history) as w:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._trouble, w)
                for _ in range(r.randrange(3, 8)):
                    await self._live(w, r.choice([0.02, 0.5, 3, 8, 16, 30]))
                    await trio.sleep(r.choice([0, 0, 0.5, 8]))
                nursery.cancel_scope.cancel()
            w.network.heal()
            w.exchange.failures.set(FailuresConfig())
            with trio.move_on_after(_LAST_LIFE_S):
                await self._end(w)
            self.epochs = w.exchange.issued.epochs
            for epoch in self.epochs:
                for each in self.streams:
                    self.issued[epoch, each.symbol] = w.exchange.issued.last_id(epoch, each.channel, each.symbol)

    async def _trouble(self, w: World) -> None:
        r = self._random
        while True:
            await trio.sleep(r.expovariate(1 / 3))
            match r.choices(range(6), weights=[9, 2, 4, 3, 3, 5])[0]:
                case 0:
                    names = [name for name in _MODES if r.random() < 0.2]
                    w.exchange.failures.set(FailuresConfig())
                    for name in names:
                        w.exchange.failures.switch(name, _MODES[name](r))
                    if {"silent_connection", "pong_only"} & set(names) and r.random() < 0.5:
                        self._life.deadline = trio.current_time() + r.choice([3.5, 4.5, 6])
                case 1:
                    w.network.black_hole(port=w.rest_port)
                case 2:
                    w.network.heal()
                case 3:
                    w.network.reset(w.ws_port)
                case 4:
                    for _ in range(r.choice([1, 1, 2])):
                        w.exchange.restart(r.choice([0.0, 0.0, 1.0]))
                        self.seen["restart"] += 1
                        await trio.sleep(r.choice([0.1, 3]))
                case _:
                    if self._garbles and self._exchange is not None:
                        far = CORRUPT_FROM + self.seen["garbled"] * 10_000_000
                        self._exchange.next_ids[:] = [far, far + 1]
                        self.seen["garbled"] += 1
                        if r.random() < 0.7:
                            self._life.deadline = trio.current_time() + r.choice([0.3, 0.7, 1.2])

    async def _live(self, w: World, seconds: float) -> None:
        """One life, up to the kill: then what was not stored is gone."""
        self._pending.clear()
        with trio.CancelScope() as self._life:
            async with self._open(w) as controller:
                self._life.deadline = trio.current_time() + seconds
                try:
                    await self._consume(controller)
                finally:
                    self._note_death(controller)

    def _open(self, w: World) -> AbstractAsyncContextManager[ConnectionController]:
        self._exchange = Garbling(ws_url=w.ws_url, rest_url=w.rest_url, session_id=f"s-{self.seed}")
        return open_controller(
            exchange=self._exchange,
            streams=self.streams,
            config=NetworkConfig.from_mapping(self._settings),
            random=Random(self.seed),
            wall_clock=virtual_wall_clock,
            boot_clock=trio.current_time,
            resume=self.cursors[-1] if self.cursors else None,
        )

    async def _consume(self, controller: ConnectionController) -> None:
        r = self._random
        how, often = r.choice(["one by one", "batches", "part of a batch"]), r.choice([1, 3, 20])
        if self.cursors and r.random() < 0.2:
            self._store(controller)
        if how == "one by one":
            async for event in controller:
                self._pending.append(event)
                if len(self._pending) >= often or self._is_telling(event):
                    self._store(controller)
                    self._die(0.3 if self._is_telling(event) else 0.0)
                if r.random() < 0.05:
                    await trio.sleep(r.choice([0.5, 6, 12]))
                    self._store(controller)
                    self._die(0.2)
        async for batch in controller.batches():
            self._pending += batch
            if how == "part of a batch":
                telling = [number for number, each in enumerate(batch) if self._is_telling(each)]
                at = r.choice(telling) if telling and r.random() < 0.7 else r.randrange(len(batch))
                self._store(controller, unread=batch[at + 1 :])
                self._die(0.3 if telling else 0.05)
            elif r.random() < 0.7:
                self._store(controller)
            await trio.sleep(r.choice([0, 0.1, 0.5, 4]))

    @staticmethod
    def _is_telling(event: AnyEvent) -> bool:
        """Whether the moment after this one is of interest."""
        if isinstance(event, MarketData):
            return (event.sequence_id or 0) >= CORRUPT_FROM
        return isinstance(event, StreamReset) or (isinstance(event, ContinuityLost) and event.end_seq is None)

    def _die(self, probability: float) -> None:
        if self._random.random() < probability:
            self._life.cancel()

    def _store(self, controller: ConnectionController, unread: Sequence[AnyEvent] = ()) -> None:
        """In one transaction: what was read, and where that leads to."""
        read = len(self._pending) - len(unread)
        self.events += self._pending[:read]
        del self._pending[:read]
        self.cursors.append(Cursor.decode(controller.cursor(unread=unread).encode()))

    def _note_death(self, controller: ConnectionController) -> None:
        self.seen[f"killed in {controller.state.name}"] += 1
        self.seen["killed with something unread"] += controller.events_held > 0
        for each in self.cursors[-1].streams if self.cursors else ():
            self.seen["killed with holes"] += bool(each.holes)
            self.seen["killed before a restart was read"] += bool(each.ahead)
            self.seen["killed before two restarts were read"] += len(each.ahead) > 1
            self.seen["killed between a loss and its reset"] += each.ended
            self.seen["killed while corrupt ids were believed"] += each.jumped_from is not None

    async def _end(self, w: World) -> None:
        self._pending.clear()
        async with self._open(w) as controller:
            batches = controller.batches()
            while True:
                with trio.move_on_after(1.0):
                    self._pending += await anext(batches)
                self._store(controller)
                if controller.state is State.CONNECTED and all(self._is_there(w, each) for each in self.streams):
                    return

    def _is_there(self, w: World, stream: Stream) -> bool:
        last = w.exchange.last_id(stream.channel, stream.symbol)
        (at,) = (each for each in self.cursors[-1].streams if each.symbol == stream.symbol)
        return at.epoch == w.exchange.epoch and not at.holes and at.next_id in {last, last + 1}

    # -- the judgement ------------------------------------------------------------------------------------------------

    def faults(self) -> Iterator[str]:
        """What the app was promised and did not get."""
        for stream in self.streams:
            events = [each for each in self.events if getattr(each, "symbol", "") == stream.symbol]
            path = self._path(events)
            yield from (f"{stream}: {fault}" for fault in self._restarts(events, path))
            for epoch in path:
                yield from (f"{stream}, {epoch}: {fault}" for fault in self._ids(stream, epoch, events, path))

    def _path(self, events: Sequence[AnyEvent]) -> list[str]:
        """The epochs that the app was in."""
        named = (each.epoch for each in events if isinstance(each, MarketData | ContinuityLost))
        first = next(filter(None, named), self.epochs[-1])
        return [first, *(each.new_epoch or "" for each in events if isinstance(each, StreamReset))]

    def _restarts(self, events: Sequence[AnyEvent], path: Sequence[str]) -> Iterator[str]:
        resets = [(each.old_epoch, each.new_epoch) for each in events if isinstance(each, StreamReset)]
        if resets != list(pairwise(path)):
            yield f"resets do not follow each other: {resets}"
        if path != sorted(set(path), key=self.epochs.index) or path[-1] != self.epochs[-1]:
            yield f"epochs {path} of {self.epochs}"
        known = {epoch for cursor in self.cursors for epoch in [cursor.epoch, *cursor.past.left] if epoch is not None}
        after_first = self.epochs[self.epochs.index(path[0]) :]
        if untold := [epoch for epoch in after_first if epoch in known and epoch not in path]:
            yield f"never told of {untold}"

    def _ids(self, stream: Stream, epoch: str, events: Sequence[AnyEvent], path: Sequence[str]) -> Iterator[str]:
        data = Counter(
            each.sequence_id or 0
            for each in events
            if isinstance(each, MarketData) and each.epoch == epoch and (each.sequence_id or 0) < CORRUPT_FROM
        )
        issued = self.issued[epoch, stream.symbol]
        if twice := [number for number, times in data.items() if times > 1]:
            yield f"twice: {twice[:9]}"
        if never := [number for number in data if number > issued]:
            yield f"never issued: {never[:9]}"
        lost: Counter[int] = Counter()
        for each in events:
            if isinstance(each, ContinuityLost) and each.epoch == epoch:
                end = issued if each.end_seq is None else min(each.end_seq, issued)
                lost.update(range(each.start_seq, end + 1))
        if again := [number for number, times in lost.items() if times > 1]:
            yield f"lost twice: {again[:9]}"
        if both := sorted(lost.keys() & data.keys()):
            yield f"delivered and lost: {both[:9]}"
        owed = range(min([*lost, *data], default=1) if epoch == path[0] else 1, issued + 1)
        (at,) = (each for each in self.cursors[-1].streams if each.symbol == stream.symbol)
        if at.epoch == epoch:
            owed = range(owed.start, at.next_id or 0)
            if not self._caught_up(at.next_id or 0, issued):
                yield f"at {at.next_id} of {issued}, holes {at.holes}"
        if missing := [number for number in owed if number not in data and number not in lost]:
            yield f"missing: {missing[:9]}"

    @staticmethod
    def _caught_up(next_id: int, issued: int) -> bool:
        return issued - 2 <= next_id <= issued + 1
