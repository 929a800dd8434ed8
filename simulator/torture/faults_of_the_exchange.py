"""What the exchange does wrong: on the socket, over REST, as a whole."""

from random import Random

import trio

from gapless.simulator.failure_modes import (
    ClockSkewMode,
    CorruptMode,
    DelayMode,
    EvictedMode,
    FailureMode,
    FlappingMode,
    Mode,
    PingFloodMode,
    RateLimitMode,
    RefuseMode,
    RejectMode,
    ReorderMode,
    RestMode,
    SelectMode,
    ServerErrorMode,
    SlowReplyMode,
    StaleReplyMode,
    SymbolSilentMode,
    WrongReplyMode,
    WrongTypesMode,
)
from gapless.simulator.messages import Frame, StreamKey
from gapless.simulator.network import Direction
from gapless.simulator.torture.faults import failure, fault, lose_some
from gapless.simulator.torture.stage import SESSION, Stage


def _apart(random: Random) -> tuple[int, ...]:
    """Ids of which no two follow one another: two corrupt ones that do are believed, as they have to be."""
    step = random.choice((3, 20))
    return tuple(range(random.randint(1, step), 50_000, step))


# -- on the socket ----------------------------------------------------------------------------------------------------

failure(
    "silent",
    "after some messages the connection says nothing more, PONG included",
    "silent_connection",
    lambda random: FailureMode(
        enabled=True, after_messages=random.randint(0, 20), count=random.choice((1, 1, 2, None))
    ),
    stretch=2.0,
)
failure(
    "acknowledged_silent",
    "a new connection acknowledges, and the first data never comes",
    "acknowledged_silent",
    lambda random: Mode(enabled=True, count=random.choice((1, 2, None))),
    provoke="disconnect",
)
failure(
    "pong_only",
    "PONGs are answered, data has stopped",
    "pong_only",
    lambda random: FailureMode(enabled=True, after_messages=random.randint(0, 20), count=random.choice((1, None))),
    stretch=2.0,
)
failure(
    "one_symbol_silent",
    "one symbol says nothing more while the others go on",
    "symbol_silent",
    lambda random: SymbolSilentMode(
        enabled=True, symbols=("ETH/USD",), after_messages=0, until=random.choice(("resubscribe", "reconnect"))
    ),
    stretch=4.0,
)
failure(
    "drop",
    "single messages are lost",
    "drop",
    lambda random: SelectMode(enabled=True, probability=random.choice((0.05, 0.3, 0.9))),
)
failure(
    "duplicate",
    "messages come twice",
    "duplicate",
    lambda random: SelectMode(enabled=True, probability=random.choice((0.1, 1.0))),
)
failure(
    "reorder",
    "messages are overtaken by later ones",
    "reorder",
    lambda random: ReorderMode(enabled=True, probability=0.3, distance=random.randint(1, 5)),
)
failure(
    "delay",
    "messages come late",
    "delay",
    lambda random: DelayMode(enabled=True, delay_s=random.choice((0.2, 1.0, 5.0)), jitter_s=random.choice((0.0, 1.0))),
)
failure(
    "corrupt",
    "messages are no messages",
    "corrupt",
    lambda random: CorruptMode(enabled=True, probability=random.choice((0.1, 0.5))),
)
failure(
    "wrong_types",
    "messages have a wrong field; ids that jump or go backwards among them",
    "wrong_types",
    lambda random: WrongTypesMode(enabled=True, ids=_apart(random)),
)
failure(
    "ping_flood",
    "the server floods the connection with PING frames",
    "ping_flood",
    lambda random: PingFloodMode(enabled=True, pings_per_s=random.choice((20, 100))),
    longest_s=2.0,
)
failure(
    "partly_refused",
    "a subscription is refused for one symbol and taken for the others",
    "reject",
    lambda _random: RejectMode(enabled=True, symbols=("ETH/USD",)),
    provoke="disconnect",
)


@fault
async def stuck(stage: Stage, random: Random, duration_s: float) -> bool:
    """The server sends the last message of a stream again and again, and nothing else."""
    exchange, stream = stage.exchange, random.choice(stage.market.streams)
    key, epoch = StreamKey(stream.channel, stream.symbol), exchange.epoch
    last_id = exchange.last_id(key.channel, key.symbol)
    if not last_id:
        return False
    again = Frame(
        type="MARKET_DATA",
        text=exchange.issued.payload(epoch, key.channel, key.symbol, last_id),
        stream=key,
        sequence_id=last_id,
    )
    nothing_else = SelectMode(enabled=True, probability=1.0)
    every_s = random.choice((0.2, 1.0, 4.0))
    repeats = 0
    with trio.move_on_after(stage.idle_s + 2.0 * duration_s):
        while exchange.epoch == epoch:
            with stage.failing("drop", nothing_else):
                await trio.sleep(every_s)
            for session in exchange.hub.of(SESSION):
                # It may have restarted meanwhile: then there is no such message any more.
                if key in session.marks and exchange.epoch == epoch:
                    session.send(again)
                    repeats += 1
            await trio.sleep(0.001)
    return repeats > 0


@fault
async def pings_while_closing(stage: Stage, random: Random, _duration_s: float) -> bool:
    """The server goes on pinging while the client closes."""
    before = stage.exchange.injected["ping_flood"]
    with stage.failing("ping_flood", PingFloodMode(enabled=True, pings_per_s=200)):
        await trio.sleep(random.uniform(0.05, 0.5))
        stage.controller.reconnect("pings while closing")
        await trio.sleep(random.uniform(0.1, 1.0))
    return stage.exchange.injected["ping_flood"] > before


# -- connections ------------------------------------------------------------------------------------------------------

failure(
    "flapping",
    "connections never live long",
    "flapping",
    lambda random: FlappingMode(enabled=True, up_min_s=0.1, up_max_s=random.choice((1.0, 8.0))),
    stretch=5.0,
)
failure(
    "disconnect",
    "the connection is dropped after some messages",
    "disconnect",
    lambda random: FailureMode(enabled=True, after_messages=random.randint(2, 30), count=random.choice((1, 3, None))),
)
failure(
    "refuse",
    "connections are dropped unanswered",
    "refuse",
    lambda random: RefuseMode(enabled=True, count=random.choice((1, 3, None))),
    provoke="disconnect",
)
failure(
    "handshake_503",
    "handshakes are refused with 503, some with Retry-After",
    "refuse",
    lambda random: RefuseMode(enabled=True, how="http_503", retry_after_s=random.choice((None, 2, 10))),
    provoke="disconnect",
)
failure(
    "handshake_429",
    "handshakes are refused with 429 and Retry-After",
    "refuse",
    lambda random: RefuseMode(enabled=True, how="http_429", retry_after_s=random.choice((1, 5, 20))),
    provoke="disconnect",
)
failure(
    "stalled_handshake",
    "TCP is accepted, the upgrade never answered",
    "stalled_handshake",
    lambda random: Mode(enabled=True, count=random.choice((1, 2, None))),
    provoke="disconnect",
)


@fault
async def goodbye(stage: Stage, random: Random, _duration_s: float) -> bool:
    """The server announces a planned close, with or without a time to stay away."""
    sessions = stage.exchange.goodbye("maintenance", random.choice((0.0, 3.0, 15.0)), SESSION)
    await trio.sleep(1.5)
    return sessions > 0


# -- over REST --------------------------------------------------------------------------------------------------------

failure(
    "rate_limited",
    "REST answers 429",
    "rate_limited",
    lambda random: RateLimitMode(
        enabled=True, probability=random.choice((0.3, 1.0)), retry_after_s=random.choice((None, 1, 4, 20))
    ),
    provoke="gap",
)
failure(
    "banned",
    "REST answers 418 with a long Retry-After",
    "rate_limited",
    lambda random: RateLimitMode(enabled=True, status=418, retry_after_s=random.choice((10, 40)), count=2),
    provoke="gap",
)
failure(
    "server_error",
    "REST answers 5xx",
    "server_error",
    lambda random: ServerErrorMode(
        enabled=True, probability=random.choice((0.3, 1.0)), status=random.choice((500, 502, 503))
    ),
    provoke="gap",
)
failure(
    "slow_reply",
    "REST replies take their time",
    "slow_reply",
    lambda random: SlowReplyMode(
        enabled=True, delay_s=random.choice((0.3, 2.0, 8.0)), trickle_s=random.choice((0.0, 2.0, 10.0))
    ),
    provoke="gap",
)
failure(
    "cut_reply",
    "REST connections drop in the middle of the body",
    "cut_reply",
    lambda random: RestMode(enabled=True, probability=random.choice((0.3, 1.0))),
    provoke="gap",
)
failure(
    "wrong_reply",
    "REST answers 200 and nonsense",
    "wrong_reply",
    lambda random: WrongReplyMode(enabled=True, probability=random.choice((0.3, 1.0))),
    provoke="gap",
)
failure(
    "stale_reply",
    "REST answers what was true a while ago",
    "stale_reply",
    lambda random: StaleReplyMode(
        enabled=True, probability=random.choice((0.3, 1.0)), behind=random.choice((1, 10, 100))
    ),
    provoke="gap",
)
failure(
    "evicted_history",
    "REST has forgotten all but the last ids",
    "evicted_history",
    lambda random: EvictedMode(enabled=True, keep=random.choice((0, 2, 10))),
    provoke="gap",
)


@fault
async def no_snapshots(stage: Stage, random: Random, duration_s: float) -> bool:
    """Orders and balances change while nobody listens, and cannot be read over REST afterwards."""
    if not stage.has_accounts:
        return False
    with stage.failing("server_error", ServerErrorMode(enabled=True, paths=("/api/v1/orders", "/api/v1/balance"))):
        stage.exchange.disconnect(SESSION)
        for _ in range(3):
            stage.exchange.place_order("ETH/USD", "buy", 1.0, random.uniform(1.0, 9.0))
            stage.exchange.set_balance("ETH", random.uniform(1.0, 9.0))
        await trio.sleep(20.0 + 4.0 * duration_s)
    return True


@fault
async def silent_in_a_resync(stage: Stage, random: Random, duration_s: float) -> bool:
    """REST cannot fill a gap, and then the socket falls silent, too."""
    with stage.failing("server_error", ServerErrorMode(enabled=True)):
        await lose_some(stage, random)
        await trio.sleep(0.05)
        with stage.black_hole(Direction.TO_CLIENT, stage.ws_port):
            await trio.sleep(8.0 + duration_s)
    return True


@fault
async def many_gaps(stage: Stage, random: Random, _duration_s: float) -> bool:
    """Every second message is lost while REST cannot help."""
    before = stage.exchange.injected["drop"]
    with stage.failing("server_error", ServerErrorMode(enabled=True)):
        with stage.failing("drop", SelectMode(enabled=True, every_nth=2)):
            for _ in range(random.randint(8, 16)):
                stage.market.burst(4)
                await trio.sleep(0.05)
        await trio.sleep(1.0)
    return stage.exchange.injected["drop"] > before


# -- the whole exchange -----------------------------------------------------------------------------------------------


@fault
async def restart(stage: Stage, random: Random, _duration_s: float) -> bool:
    """The exchange restarts: a new epoch, ids from 1, history gone."""
    stage.exchange.restart(random.choice((0.0, 0.0, 1.0, 8.0)))
    await trio.sleep(1.0)
    return True


@fault
async def restart_twice(stage: Stage, random: Random, _duration_s: float) -> bool:
    """The exchange restarts, and again before anybody has recovered."""
    stage.exchange.restart(random.choice((0.0, 1.0)))
    await trio.sleep(random.uniform(0.1, 3.0))
    stage.exchange.restart(random.choice((0.0, 2.0)))
    await trio.sleep(1.0)
    return True


@fault
async def restart_during_backfill(stage: Stage, random: Random, _duration_s: float) -> bool:
    """The epoch changes while a gap is being filled."""
    slow = SlowReplyMode(enabled=True, delay_s=random.uniform(0.2, 2.0))
    with stage.failing("slow_reply", slow):
        await lose_some(stage, random)
        await trio.sleep(random.uniform(0.0, 1.5))
        stage.exchange.restart(random.choice((0.0, 1.0)))
        await trio.sleep(1.0)
    return True


@fault
async def clock_skew(stage: Stage, random: Random, duration_s: float) -> bool:
    """The exchange's clock is off and drifts."""
    mode = ClockSkewMode(enabled=True, offset_s=random.choice((-30.0, 5.0, 3600.0)), drift=random.choice((0.0, 0.05)))
    with stage.failing("clock_skew", mode, None):
        await trio.sleep(duration_s)
    return True


@fault
async def quiet_market(stage: Stage, _random: Random, duration_s: float) -> bool:
    """Nothing happens on the market, and nothing is wrong."""
    stage.market.pace = 0.0
    await trio.sleep(2.0 * duration_s)
    stage.market.pace = 1.0
    return True


@fault
async def burst(stage: Stage, random: Random, _duration_s: float) -> bool:
    """Hundreds of messages at one instant."""
    stage.market.burst(random.choice((50, 300)))
    await trio.sleep(0.5)
    return True
