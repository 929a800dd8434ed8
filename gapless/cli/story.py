"""The script of the demo: what the exchange does to one session, when, and what must have come of it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import trio

from gapless.simulator import (
    ExchangeSimulator,
    FailureMode,
    FailuresConfig,
    RateLimitMode,
    RefuseMode,
    ReorderMode,
    SelectMode,
)

LENGTH_MIN_S: Final = 15.0
"""Shorter than this the failures would overlap: a silence takes 2 s to be found, each of four reconnects up to 2 s."""

_PATIENCE_S: Final = 8.0
"""How long a chapter waits for its failure to strike, and again for the feed to be whole. The longest need: a silence
(2 s), its verdict (2 s), refused attempts (1 s each)."""

_LAST_FRAMES_S: Final = 2.0
"""How long the restart waits for frames to drop. A restart needs no market."""
_LOOK_EVERY_S: Final = 0.01

BEHAVES: Final = "behaves"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One thing that goes wrong.

    Attributes:
        begins_at: the earliest beginning, as a fraction of the story's length.
        what: what the exchange does, for a reader.
        failures: the failures and how often each must have happened when the chapter is over.
        act: does it.
    """

    begins_at: float
    what: str
    failures: Mapping[str, int]
    act: "Callable[[Story], Awaitable[None]]"


class Story:
    """Tells the chapters to one session of an exchange.

    Args:
        exchange: who misbehaves.
        session_id: to whom.
        length_s: how long it takes; the chapters keep their proportions.
        wait_whole: waits until the client believes its feed to be whole again.
    """

    def __init__(
        self,
        exchange: ExchangeSimulator,
        *,
        session_id: str,
        length_s: float,
        wait_whole: Callable[[], Awaitable[None]],
    ) -> None:
        self.exchange = exchange
        self.length_s = length_s
        self.told: list[tuple[float, str]] = []
        """When (trio's clock) the exchange began to do what; the last entry is what it does now."""
        self._session_id = session_id
        self._wait_whole = wait_whole

    async def tell(self) -> None:
        """Tell it all; returns when the last chapter is over, ``length_s`` after the beginning or later."""
        begin = trio.current_time()
        self.say(BEHAVES)
        for chapter in CHAPTERS:
            await trio.sleep_until(begin + chapter.begins_at * self.length_s)
            self.say(chapter.what)
            with trio.move_on_after(_PATIENCE_S):
                await chapter.act(self)
            self.switch_on(FailuresConfig())
            with trio.move_on_after(_PATIENCE_S):
                await self._wait_whole()
            self.say(BEHAVES)
        await trio.sleep_until(begin + self.length_s)

    @property
    def required(self) -> Mapping[str, int]:
        """Failure -> how often it must have happened."""
        wanted: dict[str, int] = {}
        for chapter in CHAPTERS:
            for failure, times in chapter.failures.items():
                wanted[failure] = wanted.get(failure, 0) + times
        return wanted

    def say(self, what: str) -> None:
        """Note what the exchange does from now on."""
        self.told.append((trio.current_time(), what))

    @property
    def now(self) -> str:
        """What the exchange is doing to us now."""
        return self.told[-1][1] if self.told else "is starting"

    # -- what chapters do ---------------------------------------------------------------------------------------------

    def switch_on(self, failures: FailuresConfig) -> None:
        """From now on these failures, and no other, hold for the session."""
        self.exchange.failures.set(failures, self._session_id)

    async def strike(self, failures: FailuresConfig, times: Mapping[str, int]) -> None:
        """Switch failures on and wait until each has happened so often."""
        goals = {failure: self.exchange.injected[failure] + wanted for failure, wanted in times.items()}
        self.switch_on(failures)
        await until(lambda: all(self.exchange.injected[failure] >= goal for failure, goal in goals.items()))


async def until(is_true: Callable[[], bool]) -> None:
    """Wait for what has no event of its own."""
    while not is_true():  # noqa: ASYNC110
        await trio.sleep(_LOOK_EVERY_S)


async def _gap(story: Story) -> None:
    await story.strike(FailuresConfig(drop=SelectMode(enabled=True, every_nth=7, count=5)), {"drop": 5})


async def _repeat(story: Story) -> None:
    failures = FailuresConfig(
        duplicate=SelectMode(enabled=True, every_nth=3, count=12),
        reorder=ReorderMode(enabled=True, every_nth=7, count=5, distance=2),
    )
    await story.strike(failures, {"duplicate": 12, "reorder": 5})


async def _silence(story: Story) -> None:
    # Refusing the next attempts keeps the controller in REST_FALLBACK long enough to be seen there.
    refusals = max(1, min(5, round(story.length_s / 15.0)))
    failures = FailuresConfig(
        silent_connection=FailureMode(enabled=True, after_messages=10, count=1),
        refuse=RefuseMode(enabled=True, count=refusals),
    )
    await story.strike(failures, {"silent_connection": 1, "refuse": refusals})


async def _throttle(story: Story) -> None:
    failures = FailuresConfig(
        drop=SelectMode(enabled=True, probability=1.0, count=12),
        rate_limited=RateLimitMode(enabled=True, count=2, retry_after_s=1),
    )
    await story.strike(failures, {"drop": 12, "rate_limited": 2})


async def _disconnect(story: Story) -> None:
    await story.strike(
        FailuresConfig(disconnect=FailureMode(enabled=True, after_messages=5, count=1)), {"disconnect": 1}
    )


async def _restart(story: Story) -> None:
    # What is dropped right before the end of an epoch is gone for good: the one loss that can only be reported.
    with trio.move_on_after(_LAST_FRAMES_S):
        await story.strike(FailuresConfig(drop=SelectMode(enabled=True, probability=1.0, count=3)), {"drop": 3})
    story.switch_on(FailuresConfig())
    story.exchange.restart(downtime_s=max(0.5, min(3.0, story.length_s / 30.0)))
    await story.exchange.wait_up()


CHAPTERS: Final = (
    Chapter(begins_at=0.10, what="drops single frames", failures={"drop": 5}, act=_gap),
    Chapter(
        begins_at=0.17,
        what="sends frames twice and out of order",
        failures={"duplicate": 12, "reorder": 5},
        act=_repeat,
    ),
    Chapter(
        begins_at=0.24,
        what="has gone silent on this session, then refuses new connections",
        failures={"silent_connection": 1, "refuse": 1},
        act=_silence,
    ),
    Chapter(
        begins_at=0.52,
        what="drops a run of frames and answers REST with 429, Retry-After: 1",
        failures={"drop": 12, "rate_limited": 2},
        act=_throttle,
    ),
    Chapter(begins_at=0.70, what="cuts the connection", failures={"disconnect": 1}, act=_disconnect),
    Chapter(
        begins_at=0.80,
        what="drops its last frames, restarts, and counts from 1 in a new epoch",
        failures={"drop": 3, "restart": 1},
        act=_restart,
    ),
)
"""In the order they are told. Offsets leave each chapter, at :data:`LENGTH_MIN_S`, the time its repair takes."""
