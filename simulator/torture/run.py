"""Runs one seed: a world on the virtual network, the unmodified stack in it, faults, and the oracle around it."""

import time
import traceback
from collections import Counter, deque
from collections.abc import Callable
from math import inf
from random import Random
from typing import Final
from urllib.parse import urlsplit

import trio

from gapless.controller import (
    AnyEvent,
    ConnectionController,
    MarketData,
    ReconnectGaveUp,
    State,
    StateChanged,
    Stream,
    StreamRejected,
)
from gapless.simulator import Endpoints, ExchangeSimulator, SimulatorConfig, serve_exchange
from gapless.simulator.network import VirtualNetwork
from gapless.simulator.torture.catalogue import FAULTS
from gapless.simulator.torture.client import can_tell, open_client
from gapless.simulator.torture.determinism import deterministic
from gapless.simulator.torture.oracle import Oracle
from gapless.simulator.torture.outcome import Outcome
from gapless.simulator.torture.plan import CONVERGE_S, SETTLE_S, Plan, Strike, Terms, draw
from gapless.simulator.torture.stage import Manners, Market, Stage
from gapless.simulator.torture.tape import Tape
from gapless.simulator.torture.taps import tapped_client
from gapless.simulator.torture.wishes import Wishes
from gapless.simulator.virtual_clock import VirtualClock

Log = Callable[[float, str], None]
"""Told what happens, at what time, in words."""

_SETTLED_S: Final = 0.3
"""After a transition, what should run runs and the rest is gone: activities end at once, sockets within 0.1 s."""
_TASKS_MAX: Final = 60
"""Of the controller: seven activities, three for a socket and for its successor, a few for each of five streams."""
_LEFT_WITHIN_S: Final = 0.5
_GIVE_IN_S: Final = 5.0
"""How long an app waits before it asks again, once the controller has given up."""
_MOVES_KEPT: Final = 20
_HARMLESS: Final = frozenset({"quiet_market", "burst", "account_activity", "wall_clock_set"})
"""Fault classes that are none: the world is well, and lively or quiet."""
_OF_THE_SOCKET: Final = frozenset(
    {
        *("silent", "acknowledged_silent", "pong_only", "one_symbol_silent", "drop", "duplicate", "reorder", "delay"),
        *(
            "stuck",
            "subscribed_in_silence",
            "corrupt",
            "wrong_types",
            "ping_flood",
            "partly_refused",
            "flapping",
            "disconnect",
            "goodbye",
        ),
        *("refuse", "handshake_503", "handshake_429", "stalled_handshake", "refused_port", "rotation"),
        *("reconnect", "reconnect_in_silence", "reconnect_in_the_same_instant", "pings_while_closing"),
    }
)
"""Fault classes that leave REST alone."""
_GRUDGE_S: Final = 70.0
"""How long trouble with the host may keep a limiter from asking: its longest pause, and some."""
_PEACE_AFTER_S: Final = 120.0
"""After the last trouble: any silence that began in it has been found, examined and recovered from by then."""


THE_RUN_ENDS_WELL: Final = "nothing but what is expected is raised"
CONVERGES: Final = "in the end it is CONNECTED"
LEAVING_ENDS_IT: Final = "leaving ends it all"
PROMISES: Final = (THE_RUN_ENDS_WELL, CONVERGES, LEAVING_ENDS_IT)
"""What is judged here, beside the watches."""


def run_seed(seed: int, terms: Terms, log: Log | None = None, tape: Tape | None = None) -> Outcome:
    """Run one world to its end. What goes wrong in it is not raised: that is a violation like any other.

    Raises:
        KeyboardInterrupt: somebody has had enough; bare, from whatever depth it comes.
        Exception: what ``log`` raised.
    """
    plan = draw(seed, terms)
    world = _World(plan, log, tape)
    began_s = time.process_time()
    ours: BaseException | None = None
    with deterministic(seed):
        try:
            trio.run(world.run, clock=world.clock)
        except BaseException as error:  # noqa: BLE001  # whatever ends a world is what is wrong with it
            ours = world.log_error or _not_of_the_world(error)
            if ours is None:
                world.broke(f"{THE_RUN_ENDS_WELL}: it ended with {_named(error)}")
    if ours is not None:
        raise ours from None
    return world.outcome(cpu_s=time.process_time() - began_s)


def _not_of_the_world(error: BaseException) -> BaseException | None:
    """A Ctrl-C or a ``sys.exit`` in what ended a run, however deep."""
    if isinstance(error, BaseExceptionGroup):
        return next((found for each in error.exceptions if (found := _not_of_the_world(each))), None)
    return None if isinstance(error, Exception) else error


def _named(error: BaseException) -> str:
    """An exception in one line, with the place where it was raised."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    frames = traceback.extract_tb(error.__traceback__)
    at = f" at {frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {error}{at}"


class _World:
    """One world, from its plan to its outcome."""

    def __init__(self, plan: Plan, log: Log | None, tape: Tape | None) -> None:
        self.clock = VirtualClock()
        self.violations: list[str] = []
        self._plan = plan
        self._log = log
        self._tape = tape
        self._random = Random(f"run {plan.seed}")  # noqa: S311
        self._moves: deque[str] = deque(maxlen=_MOVES_KEPT)
        self._delivered = 0
        self._struck: Counter[str] = Counter()
        self._edges: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._gave_up = trio.Event()
        self._last_move_at = 0.0
        self._has_moved = trio.Event()
        self._troubles = 0
        self._refused: set[Stream] = set()
        """Refused in this generation."""
        self._trouble_at = 0.0
        self._host_troubles = 0
        self._host_trouble_at = float("-inf")
        self._moves_then: tuple[str, ...] | None = None
        """The last moves as they were when the first promise was broken."""
        self.log_error: Exception | None = None
        self._leaves_at = 0.0
        self._is_over = False
        """Whether the app stayed to the end: then everything must have arrived."""

    def outcome(self, *, cpu_s: float) -> Outcome:
        return Outcome(
            seed=self._plan.seed,
            violations=tuple(self.violations),
            faults=self._struck,
            edges=self._edges,
            reasons=self._reasons,
            last_moves=tuple(self._moves) if self._moves_then is None else self._moves_then,
            sim_s=self.clock.current_time(),
            cpu_s=cpu_s,
            delivered=self._delivered,
        )

    def broke(self, text: str) -> None:
        """A promise was broken."""
        self.violations.append(text)
        self._remember_moves()

    def _remember_moves(self) -> None:
        if self._moves_then is None:
            self._moves_then = tuple(self._moves)

    def _say(self, text: str) -> None:
        if self._log is None:
            return
        try:
            self._log(self.clock.current_time(), text)
        except Exception as error:
            # Nobody listens any more: that is no fault of the world's.
            self.log_error, self._log = error, None
            raise

    async def run(self) -> None:
        plan = self._plan
        network = VirtualNetwork(seed=plan.seed, eager=True)
        exchange = ExchangeSimulator(
            SimulatorConfig(
                seed=plan.seed,
                symbols=("BTC/USD", "ETH/USD"),
                channels=("ticker", "trade"),
                rate_per_s=0.0,
                record=True,
            ),
            wall_clock=self.clock.true_wall,
        )
        with network.installed():
            async with serve_exchange(exchange) as at:
                await self._visit(network, exchange, at)
        if network.open_sockets:
            self.broke(f"{LEAVING_ENDS_IT}: {network.open_sockets} sockets were left open: {network.connections}")

    async def _visit(self, network: VirtualNetwork, exchange: ExchangeSimulator, at: Endpoints) -> None:
        plan = self._plan
        wishes = Wishes(exchange.issued)
        for stream in plan.streams:
            wishes.ask(stream, trio.current_time())
        oracle = Oracle(
            plan.config,
            exchange,
            wishes,
            held=lambda: controller.events_held,
            is_peace=self._is_peace,
            host_is_well=self._host_is_well,
            open_gaps=lambda: controller.open_gaps,
            can_tell=lambda stream: can_tell(plan, stream),
            tasks_max=_TASKS_MAX,
            on_broken=self._remember_moves,
            tape=self._tape,
        )
        http = tapped_client(oracle.watches, plan.config.rest_timeout)
        client = open_client(
            plan,
            at,
            exchange=exchange,
            clock=self.clock,
            watches=oracle.watches,
            http=http,
            on_state_change=lambda event: self._moved(oracle, event),
        )
        try:
            # What strikes goes on until the client has left.
            async with trio.open_nursery() as faults:
                try:
                    async with client as controller:
                        stage = Stage(
                            exchange=exchange,
                            network=network,
                            clock=self.clock,
                            market=Market(
                                exchange=exchange,
                                streams=tuple(each for each in plan.streams if each.symbol != "*"),
                                rate_per_s=plan.terms.rate_per_s,
                                random=self._random,
                            ),
                            manners=Manners(),
                            controller=controller,
                            wishes=wishes,
                            streams=plan.streams,
                            idle_s=plan.config.ws_idle_timeout,
                            ws_port=urlsplit(at.ws_url).port or 0,
                            rest_port=urlsplit(at.rest_url).port or 0,
                            watches=oracle.watches,
                            struck=self._struck,
                            refused=self._refused,
                        )
                        await self._play(stage, oracle, faults)
                finally:
                    faults.cancel_scope.cancel()
                    with trio.CancelScope(shield=True, deadline=trio.current_time() + 1.0):
                        await http.aclose()
            self._judge_end(oracle)
        finally:
            self.violations.extend(oracle.verdicts())
            self._reasons = oracle.reasons

    async def _play(self, stage: Stage, oracle: Oracle, faults: trio.Nursery) -> None:
        try:
            await self._live(stage, oracle, faults)
        finally:
            taken = stage.controller.rows_taken.items()
            self._edges = Counter({f"{state.name} {trigger}": n for (state, trigger), n in taken})
            self._leaves_at = trio.current_time()

    def _judge_end(self, oracle: Oracle) -> None:
        now = trio.current_time()
        if now - self._leaves_at > _LEFT_WITHIN_S:
            self.broke(f"{LEAVING_ENDS_IT}: it took {now - self._leaves_at:.3f} s; promised are {_LEFT_WITHIN_S} s")
        oracle.watches.ended(now)
        if self._is_over:
            oracle.watches.complete(now)

    async def _live(self, stage: Stage, oracle: Oracle, faults: trio.Nursery) -> None:
        """Faults, then peace, and everything must be whole; or the app leaves in the middle of it."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._consume, stage, oracle)
            nursery.start_soon(self._look_when_settled, oracle)
            nursery.start_soon(stage.market.run)
            nursery.start_soon(self._give_in, stage.controller)
            peace = trio.Event()
            faults.start_soon(self._strike, stage, peace)
            with trio.move_on_at(inf if self._plan.leaves_at is None else self._plan.leaves_at):
                await peace.wait()
            if peace.is_set():
                await self._recover(stage)
                self._is_over = True
            else:
                self._say("the app leaves")
            nursery.cancel_scope.cancel()

    async def _recover(self, stage: Stage) -> None:
        stage.heal()
        self._say("everybody behaves")
        if self._refused:
            # It is asked for again with the next generation; until then nothing of it can be delivered. An attempt that
            # is under way is not begun anew, and it may be the one that met the refusal.
            with trio.move_on_after(CONVERGE_S):
                while stage.controller.state is State.RECONNECTING:  # noqa: ASYNC110
                    await trio.sleep(0.25)
            stage.controller.reconnect("a stream was refused")
            await trio.sleep(0.1)
        await self._converge(stage)
        stage.market.close()
        await self._settle(stage)

    async def _strike(self, stage: Stage, peace: trio.Event) -> None:
        async with trio.open_nursery() as nursery:
            for each in self._plan.strikes:
                await trio.sleep_until(each.at_s)
                self._say(f"fault {each.fault} for {each.duration_s:.1f} s")
                if self._tape is not None:
                    self._tape.fault(trio.current_time(), each.fault, each.duration_s)
                nursery.start_soon(self._strike_once, stage, each)
            await trio.sleep_until(self._plan.faulty_s)
        peace.set()

    async def _strike_once(self, stage: Stage, strike: Strike) -> None:
        is_trouble = strike.fault not in _HARMLESS
        of_the_host = is_trouble and strike.fault not in _OF_THE_SOCKET
        self._troubles += is_trouble
        self._host_troubles += of_the_host
        await FAULTS[strike.fault].strike(stage, Random(strike.seed), strike.duration_s)  # noqa: S311
        self._troubles -= is_trouble
        self._host_troubles -= of_the_host
        if is_trouble:
            self._trouble_at = trio.current_time()
        if of_the_host:
            self._host_trouble_at = trio.current_time()

    def _host_is_well(self) -> bool:
        return not self._host_troubles and trio.current_time() - self._host_trouble_at > _GRUDGE_S

    def _is_peace(self) -> bool:
        return not self._troubles and trio.current_time() - self._trouble_at > _PEACE_AFTER_S

    async def _converge(self, stage: Stage) -> None:
        controller = stage.controller
        with trio.move_on_after(CONVERGE_S) as scope:
            while controller.state is not State.CONNECTED:
                await controller.wait_for(State.CONNECTED)
        if scope.cancelled_caught:
            self.broke(
                f"{CONVERGES}: {CONVERGE_S:g} s after the last fault it is {controller.state.name}; "
                f"open gaps: {dict(controller.open_gaps)}"
            )

    async def _settle(self, stage: Stage) -> None:
        """The market is closed: what was issued arrives, and what was found missing is filled."""
        with trio.move_on_after(SETTLE_S):
            for _ in range(4):
                while stage.controller.state is not State.CONNECTED or stage.controller.open_gaps:  # noqa: ASYNC110
                    await trio.sleep(0.25)
                await trio.sleep(0.25)

    async def _consume(self, stage: Stage, oracle: Oracle) -> None:
        async for event in stage.controller:
            now = trio.current_time()
            oracle.watches.received(now, event)
            self._note(event)
            if stage.manners.delay_s:
                await trio.sleep(stage.manners.delay_s)

    def _note(self, event: AnyEvent) -> None:
        if isinstance(event, MarketData):
            self._delivered += 1
        elif isinstance(event, ReconnectGaveUp):
            self._gave_up.set()
        elif isinstance(event, StreamRejected):
            self._refused.add(Stream(event.channel, event.symbol))
        elif isinstance(event, StateChanged) and event.after is State.RECONNECTING:
            self._refused.clear()
        if self._log is not None:
            self._say(str(event))

    def _moved(self, oracle: Oracle, event: StateChanged) -> None:
        now = trio.current_time()
        self._last_move_at = now
        self._has_moved.set()
        wait = "" if event.retry_in_s is None else f", retry in {event.retry_in_s:.2f} s"
        self._moves.append(
            f"{now:10.3f}  {event.before.name} -> {event.after.name} by {event.trigger} "
            f"(generation {event.generation}{wait}): {event.reason}"
        )
        self._say(self._moves[-1][12:])
        oracle.watches.transition(now, event)

    async def _look_when_settled(self, oracle: Oracle) -> None:
        while True:
            await self._has_moved.wait()
            self._has_moved = trio.Event()
            moved_at = self._last_move_at
            await trio.sleep_until(moved_at + _SETTLED_S)
            if moved_at == self._last_move_at:
                oracle.watches.settled(trio.current_time())

    async def _give_in(self, controller: ConnectionController) -> None:
        """A controller that gave up waits for the app: this one asks, sooner or later."""
        while True:
            await self._gave_up.wait()
            self._gave_up = trio.Event()
            if not self._plan.gives_in:
                await trio.sleep_until(self._plan.faulty_s)
            await trio.sleep(_GIVE_IN_S)
            controller.reconnect("the controller gave up")
