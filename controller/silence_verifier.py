"""Verifies a silence: sends a PING, watches what REST answers, decides within the heartbeat time-out."""

from typing import TYPE_CHECKING

import trio
from loguru import logger

from gapless.controller import heartbeat
from gapless.controller.silence import Judgement, Silence
from gapless.states import Trigger

if TYPE_CHECKING:
    from gapless.controller.runtime import Runtime
    from gapless.controller.supervisor import Lease


async def run(runtime: "Runtime", lease: "Lease") -> None:
    """Claim MARKET_QUIET or SILENCE_CONFIRMED."""
    if runtime.config.silence_policy == "immediate":
        lease.emit(Trigger.SILENCE_CONFIRMED, "silence_policy is immediate")
        return
    silence = Silence(began_at=trio.current_time(), timeout_s=runtime.config.heartbeat_timeout)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(heartbeat.send_ping, runtime, lease)
        await _decide(runtime, lease, silence)
        nursery.cancel_scope.cancel()


async def _decide(runtime: "Runtime", lease: "Lease", silence: Silence) -> None:
    witnesses = [
        each
        for each in runtime.books.subscriptions
        if not each.is_account and runtime.exchange.has_history(each.stream)
    ]
    while True:
        now = trio.current_time()
        silence.pong_rtt_s = runtime.heartbeat.answered_since(silence.began_at)
        witnesses = [each for each in witnesses if not each.rejected and not each.ended]
        judgement, reason = silence.judge(now, witnesses, runtime.books.epoch)
        if judgement is Judgement.PENDING:
            with trio.move_on_after(max(silence.next_look_at() - now, 0.001)):
                await runtime.evidence.wait()
            continue
        logger.info("the silence is {}: {}", judgement.value, reason)
        if silence.pong_rtt_s is None and now >= silence.began_at + silence.timeout_s:
            runtime.heartbeat.unhealthy()
        _claim(runtime, lease, judgement, reason)
        return


def _claim(runtime: "Runtime", lease: "Lease", judgement: Judgement, reason: str) -> None:
    if judgement is Judgement.DEAD:
        lease.emit(Trigger.SILENCE_CONFIRMED, reason)
    elif judgement is Judgement.QUIET:
        lease.emit(Trigger.MARKET_QUIET, reason)
    elif runtime.quiet.was_unverified(runtime.feed.last_data_at):
        lease.emit(Trigger.SILENCE_CONFIRMED, f"{reason}, twice in a row", unverified=True)
    else:
        lease.emit(Trigger.MARKET_QUIET, reason, unverified=True)
