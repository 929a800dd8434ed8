"""The failure mode ``restart``: the exchange restarts by the clock."""

from collections.abc import Callable

import trio

from gapless.simulator.failure_modes import RestartMode
from gapless.simulator.failures import FailureControl, Rule

EVERYBODY = ""
"""The session id under which a restart is counted: it happens to all of them."""


async def restart_as_configured(failures: FailureControl, restart: Callable[[float], object]) -> None:
    """Call ``restart(downtime_s)`` as the rule of the moment says, for ever."""
    while True:
        rule = failures.rule("restart")
        async with trio.open_nursery() as nursery:
            if rule is not None:
                nursery.start_soon(_follow, rule, restart)
            while failures.rule("restart") is rule:
                await failures.wait_changed()
            nursery.cancel_scope.cancel()


async def _follow(rule: Rule, restart: Callable[[float], object]) -> None:
    mode = rule.mode(RestartMode)
    next_at = rule.since(trio.current_time()) + mode.after_s
    while rule.may_act(EVERYBODY, trio.current_time()):
        await trio.sleep_until(next_at)
        if rule.may_act(EVERYBODY, trio.current_time()):
            rule.act(EVERYBODY, f"down for {mode.downtime_s} s")
            restart(mode.downtime_s)
        next_at = trio.current_time() + mode.downtime_s + mode.after_s
