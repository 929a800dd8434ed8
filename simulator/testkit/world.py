"""An exchange on a virtual network, the controllers in it, and the contract to hold against what they delivered."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Final
from urllib.parse import urlsplit

import trio
import trio.testing

from gapless.controller import ConnectionController, NetworkConfig, RestRateLimiter, State, Stream, open_controller
from gapless.controller.groups import reraise, unwrapped
from gapless.simulator.exchange import ExchangeSimulator
from gapless.simulator.expected import require
from gapless.simulator.failure_modes import FailuresConfig
from gapless.simulator.network import VirtualNetwork
from gapless.simulator.testkit.contract import accounts_of, broken_promises
from gapless.simulator.testkit.controller_feed import SESSION, ControllerFeed
from gapless.simulator.testkit.deliveries import StreamKey
from gapless.simulator.testkit.issued import first_marks, issued_to
from gapless.simulator.testkit.recording import TICKER, WITHIN_S, Recording
from gapless.simulator.testkit.walk import shown
from gapless.simulator.testkit.ways import WAY_TO, mend
from gapless.simulator.virtual_clock import START_S

DRIVE_S: Final = 120.0
"""How long :meth:`Feed.drive_to` waits: the longest backoff, a whole attempt, and a silence with its verification."""


def virtual_wall_clock() -> float:
    """Unix seconds that pass as fast as the clock of the run; it begins at 2026-01-01T00:00:00Z."""
    return START_S + trio.current_time()


class Feed(ControllerFeed):
    """A controller in a world: driven from state to state, and judged by the exchange's own record."""

    def __init__(self, world: "World", controller: ConnectionController, session_id: str = SESSION) -> None:
        super().__init__(controller, session_id)
        self.world = world

    @property
    def streams(self) -> tuple[Stream, ...]:
        """The market streams that are desired now."""
        channels = self.world.exchange.config.channels
        return tuple(stream for stream in self.controller.streams if stream.channel in channels)

    async def drive_to(self, state: State, within_s: float = DRIVE_S) -> None:
        """Make the world such that the controller gets into a state, and wait until it is there.

        What an earlier call did is taken back first, and the feed is CONNECTED in between; every other failure stays.
        How long a state lasts is its own business (:mod:`~gapless.simulator.testkit.ways` says it).

        Raises:
            WaitTimeoutError: it did not get there.
            TypeError: that is no state.
        """
        require(state, State, "a state")
        mend(self.world, self)
        await self.until_state(State.CONNECTED, within_s)
        await WAY_TO[state](self.world, self)
        await self.until_state(state, within_s)

    async def until_whole(self, within_s: float = WITHIN_S) -> None:
        """Wait until the controller is CONNECTED and the app knows of every id that has been issued by now.

        Raises:
            WaitTimeoutError: it did not come to that.
        """
        exchange = self.world.exchange
        keys = [StreamKey(exchange.epoch, stream.channel, stream.symbol) for stream in self.streams]
        issued = {key: exchange.issued.last_id(*key) for key in keys}

        def is_whole() -> bool:
            return self.state is State.CONNECTED and all(
                max(self.newest(key), self._mark(key)) >= last for key, last in issued.items()
            )

        wanted = ", ".join(f"{key.channel}:{key.symbol} up to {last}" for key, last in issued.items())
        await self.until(is_whole, within_s, what=f"CONNECTED and a whole feed ({wanted})")

    def _mark(self, key: StreamKey) -> int:
        """Up to here nothing is owed: it was issued before the app subscribed."""
        marks = first_marks(self.world.exchange, self.session_id, Stream(key.channel, key.symbol))
        return marks.get(key.epoch, 0) if next(iter(marks), None) == key.epoch else 0

    def assert_contract(self, *streams: Stream, settled: bool = False) -> None:
        """Hold the contract against what the app received; see :meth:`World.assert_contract`."""
        self.world.assert_contract(self, *(streams or self.streams), settled=settled, session_id=self.session_id)


class World:
    """An exchange on a virtual network.

    Methods by kind. Parts: :attr:`network`, :attr:`exchange`. Where: :attr:`ws_url`, :attr:`rest_url`, and the ports.
    Time: :meth:`wall_clock`, :meth:`pass_time`. The market: :meth:`publish`, :meth:`fail`, :meth:`requests_since`.
    Controllers: :meth:`feed`, :meth:`watch`. Judgement: :meth:`assert_contract`.
    """

    def __init__(self, network: VirtualNetwork, exchange: ExchangeSimulator, ws_url: str, rest_url: str) -> None:
        self.network = network
        """Refuse, reset, black-hole, heal."""
        self.exchange = exchange
        """Fail, go silent, restart, and everything it wrote down."""
        self.ws_url = ws_url
        self.rest_url = rest_url
        self.ws_port = urlsplit(ws_url).port or 80
        self.rest_port = urlsplit(rest_url).port or 80

    # -- time ---------------------------------------------------------------------------------------------------------

    def wall_clock(self) -> float:
        """Unix seconds of this world, for an app's own ``open_controller(wall_clock=...)``."""
        return virtual_wall_clock()

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and then everybody finish what is due."""
        await trio.sleep(seconds)
        await trio.testing.wait_all_tasks_blocked()

    # -- the market ---------------------------------------------------------------------------------------------------

    def fail(self, failures: FailuresConfig, session_id: str | None = SESSION) -> None:
        """Set the failures of a session, or of all (None); those not named are switched off for it."""
        self.exchange.failures.set(failures, session_id)

    def publish(self, count: int = 1, stream: Stream = TICKER) -> None:
        """Issue so many ids of a stream now."""
        for _ in range(count):
            self.exchange.publish(stream.channel, stream.symbol)

    def requests_since(self, since: float, path: str = "/api/v1/prices") -> int:
        """How many REST requests for ``path`` were answered since then (Unix seconds)."""
        return sum(1 for each in self.exchange.requests if each.path == path and each.time_s >= since)

    # -- controllers --------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def feed(
        self,
        *streams: Stream,
        session_id: str = SESSION,
        limiter: RestRateLimiter | None = None,
        on_health_change: Callable[[bool], None] | None = None,
        boot_clock: Callable[[], float] | None = None,
        consume: bool = True,
        **settings: object,
    ) -> AsyncIterator[Feed]:
        """Open a controller in this world.

        Args:
            streams: what to keep whole; without any, the first stream of the exchange.
            session_id: as in ``open_controller``; one for each feed of a world.
            limiter: as in ``open_controller``.
            on_health_change: as in ``open_controller``.
            boot_clock: seconds that pass while the machine sleeps, too; None: it never sleeps.
            consume: whether a task takes the events; else the test loops over the feed.
            settings: fields of :class:`~gapless.controller.NetworkConfig`.

        Raises:
            ConfigurationError: a setting is unknown or not allowed.
            TypeError: what should be a stream is something else.
        """
        for each in streams:
            require(each, Stream, "a stream")
        controlled = open_controller(
            ws_url=self.ws_url,
            rest_url=self.rest_url,
            streams=streams or self._first_stream(),
            config=NetworkConfig.from_mapping(settings),
            session_id=session_id,
            limiter=limiter,
            random=Random(1),  # noqa: S311 (a test must be repeatable)
            wall_clock=self.wall_clock,
            boot_clock=trio.current_time if boot_clock is None else boot_clock,
            on_health_change=on_health_change,
        )
        try:
            async with controlled as controller, trio.open_nursery() as nursery:
                feed = self.watch(controller, session_id)
                if consume:
                    nursery.start_soon(feed.consume)
                yield feed
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            reraise(unwrapped(group))

    def _first_stream(self) -> Sequence[Stream]:
        config = self.exchange.config
        return [Stream(config.channels[0], config.symbols[0])]

    def watch(self, controller: ConnectionController, session_id: str) -> Feed:
        """A feed of a controller that the app opened itself, with this ``session_id``.

        Loop over it instead of over the controller, or hand each event to its ``record``.
        """
        return Feed(self, controller, session_id)

    # -- judgement ----------------------------------------------------------------------------------------------------

    def assert_contract(
        self,
        recording: Recording,
        *streams: Stream,
        settled: bool = False,
        session_id: str = SESSION,
        gaps_may_be_open: bool = True,
    ) -> None:
        """Exactly once or reported, as issued; a legal walk; gaps found before filled, closed before CONNECTED.

        Args:
            recording: what the app received.
            streams: the market streams to judge, each of them subscribed without a break since its first time.
            settled: whether everything that was issued must have come by now; else what is newer than the newest that
                came is under way.
            session_id: of the controller that the recording is of.
            gaps_may_be_open: whether, if not settled, ids of a gap that was announced and is open still may be missing.

        Raises:
            AssertionError: a promise was broken; the message names each, with the ids.
        """
        if not streams:
            raise AssertionError("nothing to judge: no market stream is subscribed, and none was named")
        for stream in streams:
            if not first_marks(self.exchange, session_id, stream):
                raise AssertionError(f"nothing to judge: the exchange never saw {session_id!r} subscribe {stream}")
        judged = {(stream.channel, stream.symbol) for stream in streams}
        accounts = accounts_of(issued_to(self.exchange, session_id, streams), recording.events)
        mine = {key: each for key, each in accounts.items() if (key.channel, key.symbol) in judged}
        broken = list(
            broken_promises(mine, recording.events, settled=settled, gaps_may_be_open=gaps_may_be_open and not settled)
        )
        if broken:
            listed = "\n".join(f"  {text}" for text in broken)
            raise AssertionError(
                f"the contract was broken:\n{listed}\n{recording.situation()}; its last transitions:\n"
                f"{shown(recording.moves)}"
            )
