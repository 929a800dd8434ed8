"""Verifies a silence: sends a PING, watches what REST answers, decides within the heartbeat time-out."""

from typing import TYPE_CHECKING

import trio
from loguru import logger

from gapless.controller import heartbeat, lateness
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
    # Where no market data is desired, silence means an unanswered PING: an answered one between two of them means that
    # they are not in a row. Asked before the PING of this silence leaves.
    answered_at = float("-inf") if runtime.books.market_desired else runtime.heartbeat.answered_sent_at
    silence = Silence(
        began_at=trio.current_time(),
        timeout_s=runtime.config.heartbeat_timeout,
        usual_rtt_s=runtime.heartbeat.usual_s,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(heartbeat.send_ping, runtime, lease)
        judgement, reason = await _judged(runtime, silence)
        _claim(runtime, lease, judgement, reason, answered_at)
        nursery.cancel_scope.cancel()


async def _judged(runtime: "Runtime", silence: Silence) -> tuple[Judgement, str]:
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
            due_at = max(silence.next_look_at(), now + 0.001)
            with trio.move_on_at(due_at):
                await runtime.evidence.wait()
            await lateness.let_link_read(due_at)
            continue
        logger.info("the silence is {}: {}", judgement.value, reason)
        if silence.pong_rtt_s is None and now >= silence.began_at + silence.timeout_s:
            runtime.heartbeat.unhealthy()
        return judgement, reason


def _claim(runtime: "Runtime", lease: "Lease", judgement: Judgement, reason: str, answered_at: float) -> None:
    if judgement is Judgement.DEAD:
        lease.emit(Trigger.SILENCE_CONFIRMED, reason)
    elif judgement is Judgement.QUIET:
        lease.emit(Trigger.MARKET_QUIET, reason)
    elif runtime.quiet.was_unverified(max(answered_at, _last_data_at(runtime))):
        lease.emit(Trigger.SILENCE_CONFIRMED, f"{reason}, twice in a row", unverified=True)
    else:
        lease.emit(Trigger.MARKET_QUIET, reason, unverified=True)


def _last_data_at(runtime: "Runtime") -> float:
    """Of any kind: an order proves the socket as well as a price."""
    accounts = (each.last_data_at for each in runtime.books.subscriptions if each.is_account)
    return max(runtime.feed.last_data_at, *accounts, float("-inf"))
