"""What happens within one instant, and what only matters in a certain state: chance would seldom bring it about.

Two things that are due at different times happen at once after the process was stopped for a moment: its timers and
what came meanwhile are found together. A stop of 20 ms or less is none that anybody would notice.
"""

from math import inf, isfinite
from random import Random
from typing import Final

import trio

from gapless.controller import State
from gapless.simulator.failure_modes import SelectMode, ServerErrorMode
from gapless.simulator.network import DEFAULT_LATENCY_S
from gapless.simulator.torture.faults import SILENT, fault, lose_some
from gapless.simulator.torture.stage import Stage

_UNNOTICED_S: Final = 0.01
"""How late a timer may be without anybody taking it for late."""


@fault
async def quiet_in_a_resync(stage: Stage, random: Random, duration_s: float) -> bool:
    """REST cannot fill a gap, and the market is quiet until that was found to be no silence."""
    with stage.failing("server_error", ServerErrorMode(enabled=True)):
        stage.market.pace = 0.0
        await lose_some(stage, random)
        with trio.move_on_after(3.0 * stage.idle_s + duration_s):
            await stage.controller.wait_for(State.SILENT)
            await stage.controller.wait_for(State.RESYNCING)
        stage.market.pace = 1.0
        stage.market.burst()
        await trio.sleep(1.0)
    return True


@fault
async def subscribed_in_silence(stage: Stage, random: Random, duration_s: float) -> bool:
    """The app asks for one more stream while a silence is being examined."""
    stream = random.choice(stage.streams)
    # Where the venue has refused every other one, there is no market data whose absence would be a silence.
    if stream not in stage.controller.streams or not set(stage.lively) - {stream}:
        return False
    stage.wishes.give_up(stream)
    stage.controller.unsubscribe(stream)
    with stage.failing("silent_connection", SILENT):
        with trio.move_on_after(2.0 * stage.idle_s + duration_s):
            await stage.controller.wait_for(State.SILENT)
        stage.wishes.ask(stream, trio.current_time())
        stage.controller.subscribe(stream)
        await trio.sleep(random.uniform(0.0, 2.0))
    return True


async def _window_ends_at(stage: Stage) -> float:
    """Let the market fall quiet after one last datum on each stream; when the idle window ends, infinity: never."""
    stage.market.pace = 0.0
    await trio.sleep(0.5)
    for stream in stage.market.streams:
        stage.exchange.publish(stream.channel, stream.symbol)
    await trio.sleep(0.5)
    age_s = min(age_s for stream, age_s in stage.controller.freshness().items() if stream.symbol != "*")
    return trio.current_time() - age_s + stage.idle_s if isfinite(age_s) else inf


@fault
async def stopped_in_a_rotation(stage: Stage, random: Random, _duration_s: float) -> bool:
    """The process is stopped for a moment in which a successor is to take over and the idle window ends."""
    ends_at = await _window_ends_at(stage)
    if ends_at > trio.current_time() + stage.idle_s:
        stage.market.pace = 1.0
        return False
    await trio.sleep_until(ends_at - 1.3)
    # What the socket in use never shows keeps its successor waiting for a second.
    with stage.failing("drop", SelectMode(enabled=True, probability=1.0)):
        stage.market.burst(random.randint(2, 6))
        await trio.sleep(0.05)
    stage.controller.rotate("while nothing comes")
    stopped_at = ends_at - random.uniform(0.25, 0.5)
    await trio.sleep_until(stopped_at)
    stage.clock.jump(ends_at + _UNNOTICED_S - stopped_at)
    stage.excuse(0.0)
    await trio.sleep(1.0)
    stage.market.pace = 1.0
    return True


@fault
async def datum_as_the_window_ends(stage: Stage, random: Random, _duration_s: float) -> bool:
    """The process is stopped for some milliseconds as it reads a datum, and meanwhile the idle window ends."""
    ends_at = await _window_ends_at(stage)
    for _ in range(4):
        if ends_at > trio.current_time() + stage.idle_s:
            break
        await trio.sleep_until(ends_at - 0.001 - DEFAULT_LATENCY_S)
        for stream in stage.market.streams:
            stage.exchange.publish(stream.channel, stream.symbol)
        await trio.sleep(DEFAULT_LATENCY_S)
        for _ in range(random.randint(0, 3)):
            # From the network to the books are some steps.
            await trio.lowlevel.checkpoint()
        stage.clock.jump(_UNNOTICED_S)
        ends_at = await _window_ends_at(stage)
    stage.market.pace = 1.0
    return True


@fault
async def gap_as_the_last_is_filled(stage: Stage, random: Random, _duration_s: float) -> bool:
    """What reveals the next gap comes within the instant in which the reply comes that fills the last one."""
    exchange = stage.exchange
    stream = random.choice(stage.market.streams)
    for _ in range(12):
        await lose_some(stage, random)
        # The reply is on its way then.
        await trio.sleep(0.011)
        whole = random.randint(0, 24)
        lost = exchange.last_id(stream.channel, stream.symbol) + whole + 1
        with stage.failing("drop", SelectMode(enabled=True, ids=(lost,), symbols=(stream.symbol,))):
            for _ in range(whole + 2):
                exchange.publish(stream.channel, stream.symbol)
            await trio.sleep(0.0005)
            stage.clock.jump(_UNNOTICED_S)
            await trio.sleep(0.1)
        await trio.sleep(0.5)
    return True
