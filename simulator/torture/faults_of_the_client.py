"""What happens on the client's side: an app with moods, a process that is stopped, clocks that somebody sets."""

from contextlib import ExitStack
from random import Random

import trio

from gapless.controller import State
from gapless.simulator.failure_modes import ServerErrorMode
from gapless.simulator.torture.faults import SILENT, fault, lose_some
from gapless.simulator.torture.stage import SESSION, Stage

_CATCH_UP_S = 1.0
"""After a stop, for everything that was due meanwhile."""


@fault
async def slow_app(stage: Stage, random: Random, duration_s: float) -> bool:
    """The app takes its time with each event."""
    stage.manners.delay_s = random.choice((0.05, 0.5, 2.0))
    stage.market.burst(random.choice((0, 300, 600)))
    await trio.sleep(duration_s)
    stage.manners.delay_s = 0.0
    return True


@fault
async def resubscribed(stage: Stage, random: Random, duration_s: float) -> bool:
    """The app gives a stream up, perhaps with a gap open, and wants it again later."""
    stream = random.choice(stage.streams)
    # Where the venue has refused every other one, there is no market data whose absence would be a silence.
    if stream not in stage.controller.streams or not set(stage.lively) - {stream}:
        return False
    with ExitStack() as failures:
        if random.random() < 0.5:
            failures.enter_context(stage.failing("server_error", ServerErrorMode(enabled=True)))
            await lose_some(stage, random)
            await trio.sleep(0.05)
        stage.wishes.give_up(stream)
        stage.controller.unsubscribe(stream)
    await trio.sleep(random.choice((0.0, 0.5, duration_s)))
    stage.wishes.ask(stream, trio.current_time())
    stage.controller.subscribe(stream)
    return True


@fault
async def reconnect(stage: Stage, random: Random, _duration_s: float) -> bool:
    """The app asks for a new connection, perhaps several times in a row."""
    for _ in range(random.choice((1, 1, 4))):
        stage.controller.reconnect()
        await trio.sleep(random.uniform(0.0, 0.5))
    return True


@fault
async def reconnect_in_the_same_instant(stage: Stage, _random: Random, duration_s: float) -> bool:
    """The app asks for a connection at the very moment at which the backoff is over."""
    stage.exchange.disconnect(SESSION)
    with stage.refusing(stage.ws_port), trio.move_on_after(duration_s):
        for _ in range(4):
            await stage.controller.wait_for(State.REST_FALLBACK)
            retry_in_s = stage.controller.history[-1].retry_in_s
            if retry_in_s:
                await trio.sleep(retry_in_s)
                stage.controller.reconnect("in the same instant")
            await trio.sleep(0.5)
    return True


@fault
async def reconnect_in_silence(stage: Stage, random: Random, duration_s: float) -> bool:
    """While a silence is being examined, the app asks for a connection or the venue cuts the one there is."""
    with stage.failing("silent_connection", SILENT), trio.move_on_after(4.0 * duration_s):
        while stage.controller.state is not State.SILENT:
            await stage.controller.wait_for(State.SILENT)
        if random.random() < 0.5:
            stage.controller.reconnect("the app has noticed, too")
        else:
            stage.exchange.disconnect(SESSION)
    return True


@fault
async def rotation(stage: Stage, random: Random, _duration_s: float) -> bool:
    """The app asks for a successor socket."""
    stage.controller.rotate()
    await trio.sleep(random.uniform(0.0, 3.0))
    return True


@fault
async def account_activity(stage: Stage, random: Random, duration_s: float) -> bool:
    """Orders are placed and filled, balances change."""
    if not stage.has_accounts:
        return False
    for _ in range(random.randint(2, 8)):
        order = stage.exchange.place_order("BTC/USD", random.choice(("buy", "sell")), 1.0, 50_000.0)
        stage.exchange.set_balance("USD", float(random.randint(0, 10_000)))
        if random.random() < 0.5:
            stage.exchange.fill_order(order.order_id)
        await trio.sleep(duration_s / 8)
    return True


@fault
async def process_stopped(stage: Stage, random: Random, _duration_s: float) -> bool:
    """The process is stopped for a while: every timer comes late, all at once."""
    stopped_s = random.choice((3.0, 12.0, 30.0))
    stage.market.burst(10)
    if random.random() < 0.3:
        stage.exchange.disconnect(SESSION)
    stage.clock.jump(stopped_s)
    stage.excuse(_CATCH_UP_S)
    await trio.sleep(_CATCH_UP_S)
    return True


@fault
async def stopped_in_a_backfill(stage: Stage, random: Random, _duration_s: float) -> bool:
    """The process is stopped while a gap is being filled: the reply and what reveals the next gap come at once."""
    for _ in range(4):
        await lose_some(stage, random)
        await trio.sleep(random.uniform(0.0, 0.02))
        stage.market.burst(6)
        stage.clock.jump(2.0)
        stage.excuse(_CATCH_UP_S)
        await trio.sleep(0.5)
    return True


@fault
async def machine_asleep(stage: Stage, random: Random, _duration_s: float) -> bool:
    """The machine sleeps: only the boot clock goes on, and perhaps the connections are gone."""
    stage.excuse(_CATCH_UP_S)
    stage.clock.sleep_machine(random.choice((15.0, 600.0)))
    stage.market.burst(10)
    if random.random() < 0.5:
        stage.network.reset()
    await trio.sleep(_CATCH_UP_S)
    return True


@fault
async def wall_clock_set(stage: Stage, random: Random, _duration_s: float) -> bool:
    """Somebody sets the wall clock forward or back."""
    stage.clock.set_wall(random.choice((-3600.0, -5.0, 5.0, 86_400.0)))
    await trio.sleep(0.1)
    return True
