"""All strategies of one connection in a row; each handles what the one before lets out."""

from collections.abc import Iterable
from random import Random

from gapless.simulator.failures import FailureControl
from gapless.simulator.messages import Frame
from gapless.simulator.registry import SOCKET_STRATEGIES
from gapless.simulator.seams import Cut, Outgoing, SocketStrategy


class FaultLine:
    """What one connection's messages pass on their way out.

    It follows live changes: :meth:`refresh` keeps a strategy, with its counters, while its rule stands, and replaces it
    otherwise. All chance comes from ``seed``: the exchange's seed, the session, and its how-manieth connection this is.
    """

    def __init__(self, control: FailureControl, session_id: str, seed: str) -> None:
        self._control = control
        self._session_id = session_id
        self._seed = seed
        self._version = -1
        self._stages: list[SocketStrategy] = []

    @property
    def is_clear(self) -> bool:
        """Whether messages pass untouched for now."""
        return not self._stages and self._version == self._control.version

    @property
    def due(self) -> float:
        """When :meth:`release` has something to let go."""
        return min((stage.due for stage in self._stages), default=float("inf"))

    def refresh(self, now: float) -> list[Outgoing]:
        """Take up changed rules; what a strategy switched off held back goes out first."""
        if self._version == self._control.version:
            return []
        self._version = self._control.version
        kept = {(stage.kind, stage.rule): stage for stage in self._stages}
        let_go: list[Outgoing] = []
        old_stages, self._stages = self._stages, []
        for stage in old_stages:
            if self._control.rule(stage.kind, self._session_id) is not stage.rule:
                let_go.extend(stage.flush())
        for strategy in SOCKET_STRATEGIES:
            rule = self._control.rule(strategy.kind, self._session_id)
            if rule is None or not rule.enabled:
                continue
            rng = Random(f"{self._seed}/{strategy.kind}")  # noqa: S311 (a run must be repeatable)
            self._stages.append(kept.get((strategy.kind, rule)) or strategy(rule, self._session_id, rng))
        return self._pass(let_go, 0, now)

    def outbound(self, frame: Frame, now: float) -> list[Outgoing]:
        """What goes out in place of ``frame``."""
        return self._pass((frame,), 0, now)

    def release(self, now: float) -> list[Outgoing]:
        """What was held back and is due."""
        out: list[Outgoing] = []
        for index, stage in enumerate(self._stages):
            if now >= stage.due:
                out.extend(self._pass(stage.release(now), index + 1, now))
        return out

    def _pass(self, items: Iterable[Outgoing], start: int, now: float) -> list[Outgoing]:
        for stage in self._stages[start:]:
            after: list[Outgoing] = []
            for item in items:
                if isinstance(item, Cut):
                    after.append(item)
                else:
                    after.extend(stage.outbound(item, now))
            items = after
        return list(items)
