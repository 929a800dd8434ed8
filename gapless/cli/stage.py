"""Runs a demo: an exchange on loopback, a controller that is its client, the story, and the check at the end."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from random import Random
from typing import Final

import trio

from gapless.cli.exchange_record import record_of
from gapless.cli.oracle import Observed, Terms, Verdict, judge
from gapless.cli.page import Control, Page, Shown
from gapless.cli.run_record import RunRecord
from gapless.cli.scene import CONFIG, SILENCE_MAX_S, Scene, Script, Show
from gapless.cli.story import BEHAVES, Story, until
from gapless.cli.tally import Tally
from gapless.cli.witness import SilenceWatch, StolenTime, Wire
from gapless.controller import ConnectionController, State, Stream, open_controller
from gapless.controller.transports import transport_of
from gapless.simulator import ExchangeSimulator, serve_exchange
from gapless.simulator.generator import steadily

SESSION_ID: Final = "demo"
REPAIR_MAX_S: Final = 10.0
"""How long outstanding repairs may take when the market has stopped."""
RATE_PER_S: Final = 20.0
"""Ids per second and stream of the generated market."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a demo came to."""

    verdict: Verdict
    tally: Tally
    seconds: float
    run: RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """The dashboard of a demo.

    Attributes:
        page: where it is served.
        announce: told its URL.
        stay: told the outcome when the demo is over; then exchange and page go on until cancelled, with the buttons.
            None: the demo's end is the page's.
    """

    page: Page
    announce: Callable[[str], None]
    stay: Callable[[Outcome], None] | None = None


async def perform(
    script: Script, *, show: Show, wall_clock: Callable[[], float] | None = None, screen: Screen | None = None
) -> Outcome:
    """Play the demo to its end. ``show`` runs beside it and is cancelled at the end.

    Raises:
        OSError: no port can be had.
    """
    clock = wall_clock or _wall_clock_without_steps()
    began_at, wall_began_at = trio.current_time(), clock()
    streams = script.streams
    exchange = ExchangeSimulator(script.exchange_config, wall_clock=clock)
    tally, stolen = Tally(streams), StolenTime()
    wire = Wire(transport_of(CONFIG))
    watch = SilenceWatch(wire, stolen)

    def outcome_of(story: Story) -> Outcome:
        verdict = judge(
            record_of(exchange, SESSION_ID, streams),
            Observed(events=tally.events, silences=watch.silences),
            Terms(
                failures=story.required,
                silence_max_s=SILENCE_MAX_S,
                requests_per_s_max=CONFIG.rate_limit_requests,
            ),
        )
        run = RunRecord(
            events=tuple(tally.events),
            faults=[(wall_began_at + at - began_at, text) for at, text in story.told if text != BEHAVES],
            requests=tuple(each for each in exchange.requests if each.session_id == SESSION_ID),
        )
        return Outcome(verdict=verdict, tally=tally, seconds=trio.current_time() - began_at, run=run)

    async with AsyncExitStack() as stack:
        endpoints = await stack.enter_async_context(serve_exchange(exchange))
        nursery = await stack.enter_async_context(trio.open_nursery())
        shown = None if screen is None else await stack.enter_async_context(_opened(screen, streams, clock))
        controller = await stack.enter_async_context(
            open_controller(
                ws_url=endpoints.ws_url,
                rest_url=endpoints.rest_url,
                streams=streams,
                config=CONFIG,
                session_id=SESSION_ID,
                transport=wire,
                http=None if shown is None else shown.http,
                random=Random(script.seed),  # noqa: S311 (a run must be repeatable)
                wall_clock=clock,
                on_state_change=watch.on_state_change,
            )
        )
        story = Story(
            exchange,
            session_id=SESSION_ID,
            length_s=script.story_s,
            wait_whole=lambda: controller.wait_for(State.CONNECTED),
        )
        url = ""
        if screen is not None and shown is not None:
            control = Control(rest_url=endpoints.rest_url, session_id=SESSION_ID)
            url = await stack.enter_async_context(shown.served(controller, control=control if screen.stay else None))
            screen.announce(url)
            nursery.start_soon(shown.follow, story.told)
        scene = Scene(
            script=script,
            began_at=began_at,
            wall_began_at=wall_began_at,
            story=story,
            controller=controller,
            tally=tally,
            exchange=exchange,
            url=url,
        )
        nursery.start_soon(stolen.measure)
        nursery.start_soon(_consume, controller, tally, shown)
        async with trio.open_nursery() as viewers:
            viewers.start_soon(show, scene)
            await _play(scene)
            viewers.cancel_scope.cancel()
        if screen is not None and screen.stay is not None and shown is not None:
            screen.stay(outcome_of(story))
            exchange.issued.forget_payloads()
            tally.forget()
            shown.release()
            while True:  # a recorded market begins again when it is over
                await _open_market(script, exchange)
        nursery.cancel_scope.cancel()
    return outcome_of(story)


def _opened(
    screen: Screen, streams: Sequence[Stream], clock: Callable[[], float]
) -> AbstractAsyncContextManager[Shown]:
    return Shown.opened(
        screen.page, streams, has_buttons=screen.stay is not None, timeout_s=CONFIG.rest_timeout, clock=clock
    )


async def _play(scene: Scene) -> None:
    """The market opens when everybody listens, so that all of it is owed; it closes, and repairs may end."""
    script, exchange, story = scene.script, scene.exchange, scene.story
    with trio.move_on_after(REPAIR_MAX_S):
        await until(lambda: len(exchange.subscriptions) >= len(script.streams))
    closes_at = trio.current_time() + (script.seconds or 0.0)
    async with trio.open_nursery() as market:
        market.start_soon(_open_market, script, exchange)
        await story.tell()
        if script.seconds is not None:
            await trio.sleep_until(closes_at)
            market.cancel_scope.cancel()
    story.say("has closed its market")
    with trio.move_on_after(REPAIR_MAX_S):
        await until(lambda: _is_repaired(scene))


async def _consume(controller: ConnectionController, tally: Tally, shown: Shown | None) -> None:
    async for batch in controller.batches():
        tally.add(batch)
        if shown is not None:
            shown.enter(batch)


async def _open_market(script: Script, exchange: ExchangeSimulator) -> None:
    replay, streams = script.replay, script.streams
    if replay is not None:
        await replay.run(exchange)
        return

    def publish(turn: int) -> None:
        stream = streams[turn % len(streams)]
        exchange.publish(stream.channel, stream.symbol)

    await steadily(RATE_PER_S * len(streams), publish, exchange.wait_up)


def _is_repaired(scene: Scene) -> bool:
    """Whether the app has the newest id of every stream and knows of no gap."""
    controller, exchange = scene.controller, scene.exchange
    return (
        controller.state is State.CONNECTED
        and not controller.open_gaps
        and all(
            each.last_epoch == exchange.epoch and each.last_id == exchange.last_id(stream.channel, stream.symbol)
            for stream, each in scene.tally.by_stream.items()
        )
    )


def _wall_clock_without_steps() -> Callable[[], float]:
    """Unix seconds that nobody sets back or forward during the run."""
    ahead_s = time.time() - trio.current_time()
    return lambda: ahead_s + trio.current_time()
