"""What the client may ask of a venue: requests per window, waits that were asked for, attempts, no idle polling."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Final
from urllib.parse import parse_qs, urlsplit

from gapless.controller import NetworkConfig, State, StateChanged, Stream, Trigger
from gapless.simulator.torture.observer import Answered, Asked, Heard, Watch
from gapless.states import TABLE

_EPSILON_S: Final = 1e-6


class InsideTheWindow(Watch):
    """Never more requests in a window than the budget has, as they leave."""

    promise: ClassVar[str] = "REST stays inside its budget"

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self._requests = config.rate_limit_requests
        self._window_s = config.rate_limit_window
        self._enabled = config.rate_limit_proactive
        self._times: deque[float] = deque()

    def asked(self, now: float, request: Asked) -> None:  # noqa: ARG002
        """One more."""
        if not self._enabled:
            return
        self._times.append(now)
        while self._times[0] <= now - self._window_s + _EPSILON_S:
            self._times.popleft()
        if len(self._times) > self._requests:
            self.broken(now, f"{len(self._times)} requests within {self._window_s:g} s; the budget is {self._requests}")


class RetryAfterIsAFloor(Watch):
    """Once a reply asked to wait, nothing leaves before; 429 without the header asks for the first pause."""

    promise: ClassVar[str] = "Retry-After is a floor"

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self._pause_s = config.rate_limit_initial_backoff
        self._not_before = float("-inf")
        self._told_at = float("-inf")
        self._why = ""

    def asked(self, now: float, request: Asked) -> None:
        """Compare with what was asked for; what leaves in the instant in which it is asked for could not know."""
        if self._told_at < now < self._not_before - _EPSILON_S:
            self.broken(now, f"{request.path} left {self._not_before - now:.3f} s too early: {self._why}")

    def answered(self, now: float, reply: Answered) -> None:
        """A wait begins."""
        asked_s = reply.retry_after_s or 0.0
        if reply.status in {418, 429}:
            asked_s = max(asked_s, self._pause_s)
        if asked_s and now + asked_s > self._not_before:
            self._not_before = now + asked_s
            self._told_at = now
            self._why = f"HTTP {reply.status} at {now:.3f} s asked for {asked_s:g} s"


class AttemptsAreBounded(Watch):
    """Never two attempts within a second; none before the wait that was announced, or that the venue asked for."""

    promise: ClassVar[str] = "attempts are bounded"
    _SPACING_S: Final = 1.0
    _PER_MINUTE: Final = 18
    """Attempts in any minute. Jitter draws from 0 to a ceiling that doubles: six losses in a row bring it to a minute,
    so eighteen are far out in the tail; a backoff that does not grow makes more than fifty."""

    def __init__(self) -> None:
        super().__init__()
        self._times: deque[float] = deque()
        self._not_before = float("-inf")
        self._floor = float("-inf")

    def told_to_wait(self, now: float, until: float) -> None:  # noqa: ARG002
        """A floor that nobody may go below, the app neither."""
        self._floor = max(self._floor, until)

    def transition(self, now: float, event: StateChanged) -> None:
        """What was announced is a promise; an app's own wish or a wake replaces it."""
        if event.after is State.REST_FALLBACK:
            self._not_before = now + event.retry_in_s if event.retry_in_s is not None else float("inf")
        elif event.trigger is Trigger.RECONNECT_REQUESTED:
            self._not_before = float("-inf")
            while len(self._times) > 1:
                # An app that asks gives all attempts back: the minute begins anew, only the spacing holds.
                self._times.popleft()

    def dialled(self, now: float) -> None:
        """One more."""
        if self._times and now - self._times[-1] < self._SPACING_S:
            self.broken(now, f"two attempts within {now - self._times[-1]:.3f} s")
        if now < self._not_before - _EPSILON_S:
            self.broken(now, f"dialled {self._not_before - now:.3f} s before the announced wait was over")
        if now < self._floor - _EPSILON_S:
            self.broken(now, f"dialled {self._floor - now:.3f} s before the venue's Retry-After was over")
        self._times.append(now)
        while self._times[0] < now - 60.0:
            self._times.popleft()
        if len(self._times) > self._PER_MINUTE:
            self.broken(now, f"{len(self._times)} attempts within a minute")


class NoIdlePolling(Watch):
    """Some seconds after CONNECTED nothing is asked over REST, but for a look into the very stream that is silent."""

    promise: ClassVar[str] = "no REST polling while connected"
    _GRACE_S: Final = 5.0

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self._idle_s = config.ws_idle_timeout
        self._state = TABLE.initial
        self._since = 0.0
        self._heard_at: dict[Stream, float] = {}
        self._before: dict[Stream, float] = {}
        """When each stream was heard last in an earlier instant: who asks in the same one could not know."""

    def heard(self, now: float, heard: Heard) -> None:
        """When each stream was heard last."""
        for key in heard.streams:
            stream = Stream(*key)
            last_at = self._heard_at.get(stream, float("-inf"))
            self._before[stream] = last_at if now > last_at else self._before.get(stream, float("-inf"))
            self._heard_at[stream] = now

    def transition(self, now: float, event: StateChanged) -> None:
        """The grace begins anew where the state changes."""
        if event.after is not event.before:
            self._state, self._since = event.after, now

    def asked(self, now: float, request: Asked) -> None:
        """A request while all is well needs an excuse: its stream says nothing."""
        if self._state is not State.CONNECTED or now - self._since <= self._GRACE_S:
            return
        stream = asked_about(request)
        heard_at = self._heard_at.get(stream, float("-inf")) if stream else now
        if heard_at == now and stream:
            heard_at = self._before[stream]
        if now - heard_at < self._idle_s - _EPSILON_S:
            self.broken(
                now,
                f"{request.path} was asked {now - self._since:.1f} s after CONNECTED; "
                + (f"{stream} is live" if stream else "accounts are not polled"),
            )


def asked_about(request: Asked) -> Stream | None:
    """The stream of a request for market data."""
    query = parse_qs(urlsplit(request.path).query)
    return Stream(query["channel"][0], query["symbol"][0]) if "channel" in query else None


class FillsBeforePolls(Watch):
    """Where collecting over REST begins with a gap open, the first thing asked about that stream is what is missing.

    While a silence is examined REST is a witness first.
    """

    promise: ClassVar[str] = "gap fills go before polling"
    _LIVE: Final = frozenset({State.RESYNCING, State.CONNECTED})
    _COLLECTING: Final = frozenset({State.REST_FALLBACK, State.RECONNECTING})

    def __init__(self, open_gaps: Callable[[], Mapping[Stream, Sequence[tuple[int, int]]]]) -> None:
        super().__init__()
        self._open_gaps = open_gaps
        self._expected: set[Stream] = set()

    def transition(self, now: float, event: StateChanged) -> None:  # noqa: ARG002
        """Collecting begins, or ends."""
        if event.after not in self._COLLECTING:
            self._expected.clear()
        elif event.before in self._LIVE:
            self._expected = self._missing()

    def asked(self, now: float, request: Asked) -> None:
        """The first request about a stream; what live data has closed meanwhile need not be asked for."""
        if not self._expected or (stream := asked_about(request)) is None:
            return
        if stream in self._expected and "end_seq=" not in request.path and stream in self._missing():
            self.broken(now, f"{request.path} left while {list(self._open_gaps()[stream])} were missing")
        self._expected.discard(stream)

    def _missing(self) -> set[Stream]:
        return {stream for stream, gaps in self._open_gaps().items() if gaps and stream.symbol != "*"}
