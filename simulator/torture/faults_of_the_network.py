"""What happens between the client and the exchange."""

from random import Random

import trio

from gapless.simulator.network import DEFAULT_LATENCY_S, Direction
from gapless.simulator.torture.faults import fault
from gapless.simulator.torture.stage import Stage


async def _black_hole(stage: Stage, direction: Direction, port: int | None, duration_s: float) -> None:
    with stage.black_hole(direction, port):
        await trio.sleep(duration_s)


@fault
async def black_hole(stage: Stage, random: Random, duration_s: float) -> bool:
    """Nothing arrives any more, either way."""
    await _black_hole(stage, Direction.BOTH, random.choice((None, stage.ws_port)), duration_s)
    return True


@fault
async def black_hole_to_client(stage: Stage, random: Random, duration_s: float) -> bool:
    """What the exchange sends does not arrive; what the client sends does."""
    await _black_hole(stage, Direction.TO_CLIENT, random.choice((None, stage.ws_port)), duration_s)
    return True


@fault
async def black_hole_to_server(stage: Stage, random: Random, duration_s: float) -> bool:
    """What the client sends does not arrive; what the exchange sends does."""
    await _black_hole(stage, Direction.TO_SERVER, random.choice((None, stage.ws_port)), duration_s)
    return True


@fault
async def rest_unreachable(stage: Stage, random: Random, duration_s: float) -> bool:
    """REST alone is out of reach: refused, or swallowed."""
    if random.random() < 0.5:
        await _black_hole(stage, Direction.BOTH, stage.rest_port, duration_s)
        return True
    with stage.refusing(stage.rest_port):
        stage.network.reset(stage.rest_port)
        await trio.sleep(duration_s)
    return True


@fault
async def refused_port(stage: Stage, random: Random, duration_s: float) -> bool:
    """The WebSocket's port is closed."""
    with stage.refusing(stage.ws_port):
        if random.random() < 0.8:
            stage.network.reset(stage.ws_port)
        await trio.sleep(duration_s)
    return True


@fault
async def reset(stage: Stage, random: Random, _duration_s: float) -> bool:
    """Every open connection is reset."""
    connections = stage.network.reset(random.choice((None, stage.ws_port, stage.rest_port)))
    await trio.sleep(0.1)
    return connections > 0


@fault
async def half_close(stage: Stage, random: Random, _duration_s: float) -> bool:
    """A middle box closes one way of the open connections."""
    connections = stage.network.half_close(random.choice((None, stage.ws_port)))
    await trio.sleep(0.1)
    return connections > 0


@fault
async def slow_network(stage: Stage, random: Random, duration_s: float) -> bool:
    """Everything travels slowly and unevenly."""
    stage.network.set_latency(random.choice((0.1, 0.4)), jitter_s=random.choice((0.0, 0.3)))
    await trio.sleep(duration_s)
    stage.network.set_latency(DEFAULT_LATENCY_S)
    return True
