"""What happens between the client and the exchange."""

from random import Random

import trio

from gapless.simulator.network import DEFAULT_LATENCY_S, Direction
from gapless.simulator.torture.faults import fault
from gapless.simulator.torture.stage import Stage


async def _black_hole(stage: Stage, direction: Direction, port: int | None, duration_s: float) -> None:
    stage.network.black_hole(direction, port)
    await trio.sleep(duration_s)
    stage.network.heal(port)


@fault
async def black_hole(stage: Stage, random: Random, duration_s: float) -> None:
    """Nothing arrives any more, either way."""
    await _black_hole(stage, Direction.BOTH, random.choice((None, stage.ws_port)), duration_s)


@fault
async def black_hole_to_client(stage: Stage, random: Random, duration_s: float) -> None:
    """What the exchange sends does not arrive; what the client sends does."""
    await _black_hole(stage, Direction.TO_CLIENT, random.choice((None, stage.ws_port)), duration_s)


@fault
async def black_hole_to_server(stage: Stage, random: Random, duration_s: float) -> None:
    """What the client sends does not arrive; what the exchange sends does."""
    await _black_hole(stage, Direction.TO_SERVER, random.choice((None, stage.ws_port)), duration_s)


@fault
async def rest_unreachable(stage: Stage, random: Random, duration_s: float) -> None:
    """REST alone is out of reach: refused, or swallowed."""
    if random.random() < 0.5:
        await _black_hole(stage, Direction.BOTH, stage.rest_port, duration_s)
        return
    stage.network.refuse(stage.rest_port)
    stage.network.reset(stage.rest_port)
    await trio.sleep(duration_s)
    stage.network.accept(stage.rest_port)


@fault
async def refused_port(stage: Stage, random: Random, duration_s: float) -> None:
    """The WebSocket's port is closed."""
    stage.network.refuse(stage.ws_port)
    if random.random() < 0.8:
        stage.network.reset(stage.ws_port)
    await trio.sleep(duration_s)
    stage.network.accept(stage.ws_port)


@fault
async def reset(stage: Stage, random: Random, _duration_s: float) -> None:
    """Every open connection is reset."""
    stage.network.reset(random.choice((None, stage.ws_port, stage.rest_port)))
    await trio.sleep(0.1)


@fault
async def half_close(stage: Stage, random: Random, _duration_s: float) -> None:
    """A middle box closes one way of the open connections."""
    stage.network.half_close(random.choice((None, stage.ws_port)))
    await trio.sleep(0.1)


@fault
async def slow_network(stage: Stage, random: Random, duration_s: float) -> None:
    """Everything travels slowly and unevenly."""
    stage.network.set_latency(random.choice((0.1, 0.4)), jitter_s=random.choice((0.0, 0.3)))
    await trio.sleep(duration_s)
    stage.network.set_latency(DEFAULT_LATENCY_S)
