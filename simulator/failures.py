"""Which failures hold for whom, and how often each has happened.

A :class:`Rule` is one mode switched on for all sessions or for one session id. A session's own rule overrides the
global one of the same kind. Rules follow the session id: a strategy object lives with its connection (for REST, with
its session) and asks its rule each time whether it may act, so a rule used up or run out stops by itself.

Setting failures makes new rules, hence new budgets, new durations and new strategies. Switching one kind makes one new
rule and leaves the others as they are.
"""

from collections import Counter, OrderedDict
from typing import TypeVar

import msgspec
import trio
from loguru import logger

from gapless.simulator.failure_modes import FailuresConfig, Mode
from gapless.simulator.settings import SettingsError

SESSIONS_MAX = 1_000
"""Session ids with settings of their own; a script that makes more has lost count."""
USED_MAX = 10_000
"""Session ids whose use of a rule is remembered; the one longest unheard of starts anew."""

KINDS = tuple(field.name for field in msgspec.structs.fields(FailuresConfig))
"""Every kind of failure: the fields of :class:`FailuresConfig`."""

OF_ALL_SESSIONS = ("restart", "clock_skew")
"""The kinds that concern the exchange as a whole; they cannot be set for one session."""

ModeT = TypeVar("ModeT", bound=Mode)


class Rule:
    """One mode, switched on at ``since_s`` (None: when it is first asked), with what each session has used of it."""

    def __init__(self, kind: str, mode: Mode, since_s: float | None, injected: Counter[str]) -> None:
        self.kind = kind
        self._mode = mode
        self._since_s = since_s
        self._injected = injected
        self._used: OrderedDict[str, int] = OrderedDict()

    def mode(self, of: type[ModeT]) -> ModeT:
        """The mode, as the type its kind has."""
        if not isinstance(self._mode, of):
            raise TypeError(f"{self.kind} has a {type(self._mode).__name__}, not a {of.__name__}")
        return self._mode

    @property
    def enabled(self) -> bool:
        """Whether the mode is switched on at all."""
        return self._mode.enabled

    def since(self, now: float) -> float:
        """When it was switched on."""
        if self._since_s is None:
            self._since_s = now
        return self._since_s

    def holds(self, now: float) -> bool:
        """Whether it is switched on and its duration has not run out."""
        since_s = self.since(now)
        return self._mode.enabled and (self._mode.duration_s is None or now < since_s + self._mode.duration_s)

    def may_act(self, session_id: str, now: float) -> bool:
        """Whether it holds and this session has not used it up."""
        return self.holds(now) and (self._mode.count is None or self._used.get(session_id, 0) < self._mode.count)

    def has_acted(self, session_id: str) -> bool:
        """Whether it has happened to this session."""
        return session_id in self._used

    def act(self, session_id: str, what: str) -> None:
        """Note that it happened once: counted, and logged with ``what`` happened."""
        self._used[session_id] = self._used.get(session_id, 0) + 1
        self._used.move_to_end(session_id)
        if len(self._used) > USED_MAX:
            self._used.popitem(last=False)
        self._injected[self.kind] += 1
        logger.debug("failure {} for session {!r}: {}", self.kind, session_id, what)


class FailureControl:
    """The failures switched on, for all sessions and for single session ids."""

    def __init__(self, config: FailuresConfig) -> None:
        self.injected: Counter[str] = Counter()
        """How often each kind happened: a connection gone silent, a message dropped, a request refused."""
        self.version = 0
        """Grows with every change; a cache made under another version is stale."""
        self._configs: dict[str | None, FailuresConfig] = {}
        self._rules: dict[str | None, dict[str, Rule]] = {}
        self._changed = trio.Event()
        self.set(config)

    def get(self, session_id: str | None = None) -> FailuresConfig:
        """What is set for this session id, or for all sessions."""
        return self._configs.get(session_id, FailuresConfig())

    def set(self, config: FailuresConfig, session_id: str | None = None) -> None:
        """Replace what is set for this session id, or for all sessions. Holds from the next message or request on.

        Raises:
            SettingsError: a restart for one session, or too many sessions with settings of their own.
        """
        modes: dict[str, Mode | None] = {kind: getattr(config, kind) for kind in KINDS}
        rules = {kind: self._rule(kind, mode) for kind, mode in modes.items() if mode is not None}
        self._replace(config, rules, session_id)

    def switch(self, kind: str, mode: Mode | None, session_id: str | None = None) -> None:
        """Replace one kind for this session id, or for all sessions; None: nothing is said about it any more.

        Every other kind stays as it is: what is used of its budget, when it was switched on, who is silent by it.

        Raises:
            SettingsError: there is no such kind, the mode is of another, a restart for one session, or too many
                sessions with settings of their own.
        """
        if kind not in KINDS:
            raise SettingsError(f"there is no failure {kind!r}; known are {', '.join(KINDS)}")
        config = msgspec.structs.replace(self.get(session_id), **{kind: mode})
        rules = {other: rule for other, rule in self._rules.get(session_id, {}).items() if other != kind}
        if mode is not None:
            rules[kind] = self._rule(kind, mode)
        self._replace(config, rules, session_id)

    def _rule(self, kind: str, mode: Mode) -> Rule:
        now = trio.current_time() if trio.lowlevel.in_trio_run() else None
        return Rule(kind, mode, now, self.injected)

    def _replace(self, config: FailuresConfig, rules: dict[str, Rule], session_id: str | None) -> None:
        if session_id is not None:
            for kind in OF_ALL_SESSIONS:
                if kind in rules:
                    raise SettingsError(f"FailuresConfig.{kind} concerns all sessions; it cannot be set for one")
            if session_id not in self._configs and rules and len(self._configs) > SESSIONS_MAX:
                raise SettingsError(f"{SESSIONS_MAX} session ids have failures of their own; clear some first")
        self._configs[session_id] = config
        self._rules[session_id] = rules
        if session_id is not None and not rules:
            del self._configs[session_id], self._rules[session_id]
        self.version += 1
        self._changed.set()
        self._changed = trio.Event()
        if rules or self.version > 1:
            logger.info("failures set for {}: {}", session_id or "all sessions", sorted(rules) or "none")

    def clear(self) -> None:
        """Switch everything off, for all sessions and every session id."""
        self._configs.clear()
        self._rules.clear()
        self.set(FailuresConfig())

    @property
    def session_ids(self) -> tuple[str, ...]:
        """The session ids that have settings of their own."""
        return tuple(each for each in self._configs if each is not None)

    def rule(self, kind: str, session_id: str | None = None) -> Rule | None:
        """What holds for this session id: its own rule, else the one for all sessions."""
        return self._rules.get(session_id, {}).get(kind) or self._rules.get(None, {}).get(kind)

    async def wait_changed(self) -> None:
        """Return after the next :meth:`set` or :meth:`switch`."""
        await self._changed.wait()
