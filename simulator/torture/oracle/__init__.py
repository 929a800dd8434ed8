"""The promises, each watched from outside the controller."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from gapless.controller import NetworkConfig, Stream
from gapless.simulator.exchange import ExchangeSimulator
from gapless.simulator.torture.observer import Watch, Watches
from gapless.simulator.torture.oracle.accounts import AccountsAgree
from gapless.simulator.torture.oracle.budget import (
    AttemptsAreBounded,
    FillsBeforePolls,
    InsideTheWindow,
    NoIdlePolling,
    RetryAfterIsAFloor,
)
from gapless.simulator.torture.oracle.contract import BoundedQueue, ExactlyOnce, GapsAreClosed, InOrder
from gapless.simulator.torture.oracle.heartbeat import NoVerdictInPeace, PingsByTheClock
from gapless.simulator.torture.oracle.machine import LegalSteps, NothingOfTheDead, OneOwner, RunsAsStated
from gapless.simulator.torture.oracle.silence import (
    NoFalseQuiet,
    NoFalseSilence,
    OnlyDataProves,
    RestGoesOn,
    RestTakesOver,
    SilenceIsFound,
    SilenceIsJudged,
)
from gapless.simulator.torture.oracle.streams import SilentStreamIsFound
from gapless.simulator.torture.wishes import Wishes


class Oracle:
    """All watches over one world.

    Args:
        held: how many events wait for the app.
        is_peace: whether nothing is wrong, and has not been for a while.
        host_is_well: whether nothing has kept REST from answering for a while; a limiter bears a grudge.
        open_gaps: what the controller knows to be missing.
        can_tell: whether REST says how far a stream has come.
        tasks_max: how many tasks may run, the exchange's included.
        on_broken: called whenever a promise is broken, at once.
        tape: writes down what the watches see; None: nobody does.
    """

    def __init__(
        self,
        config: NetworkConfig,
        exchange: ExchangeSimulator,
        wishes: Wishes,
        *,
        held: Callable[[], int],
        is_peace: Callable[[], bool],
        host_is_well: Callable[[], bool],
        open_gaps: Callable[[], Mapping[Stream, Sequence[tuple[int, int]]]],
        can_tell: Callable[[Stream], bool],
        tasks_max: int,
        on_broken: Callable[[], None],
        tape: Watch | None = None,
    ) -> None:
        self._exactly_once = ExactlyOnce(exchange, wishes)
        watches: list[Watch] = [
            self._exactly_once,
            GapsAreClosed(config),
            LegalSteps(),
            RunsAsStated(tasks_max),
            OneOwner(config),
            NothingOfTheDead(config),
            SilenceIsFound(config),
            SilentStreamIsFound(config, exchange, host_is_well, can_tell),
            SilenceIsJudged(config),
            NoFalseSilence(config),
            OnlyDataProves(),
            NoFalseQuiet(config, exchange, host_is_well, can_tell),
            RestTakesOver(host_is_well),
            RestGoesOn(config, host_is_well),
            FillsBeforePolls(open_gaps),
            InsideTheWindow(config),
            RetryAfterIsAFloor(config),
            AttemptsAreBounded(),
            PingsByTheClock(config),
            NoVerdictInPeace(config, is_peace),
            AccountsAgree(exchange, wishes),
            NoIdlePolling(config),
            BoundedQueue(config, held, open_gaps),
        ]
        if config.ordering == "sequence":
            watches.append(InOrder())
        for each in watches:
            each.on_broken = on_broken
        if tape is not None:
            watches.append(tape)
        self.watches = Watches(watches)

    @property
    def reasons(self) -> Counter[str]:
        """Reason of a ``ContinuityLost`` -> how often."""
        return self._exactly_once.reasons

    def verdicts(self) -> Sequence[str]:
        """Each broken promise, in words."""
        return self.watches.verdicts()
