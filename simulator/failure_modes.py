"""What can be switched on: one mode per failure, the same from code, TOML and the control API.

Every mode has ``enabled``, and two ways to switch itself off again, counted per session id so that one session's
failures never depend on another's:

* ``count``: how often it happens (a connection gone silent, a message dropped, a request refused), over reconnects;
* ``duration_s``: how long after it was switched on.

Counters such as ``after_messages`` start anew with each connection, and when the mode is switched on.
"""

from typing import Annotated, Literal

from msgspec import Meta

from gapless.simulator.settings import Count, Id, Positive, Probability, Seconds, Settings


class Mode(Settings, frozen=True, kw_only=True):
    """What every failure mode has."""

    enabled: bool = False
    count: Positive | None = None
    """Times per session id until it is over; None: no end."""
    duration_s: Seconds | None = None
    """Seconds after it was switched on until it is over; None: no end."""


class FailureMode(Mode, frozen=True, kw_only=True):
    """A failure that begins after so many outbound messages of a connection; WELCOME is the first of them."""

    after_messages: Count = 10


class SelectMode(Mode, frozen=True, kw_only=True):
    """A failure of single data messages, chosen by any of these ways. ``symbols`` narrows all of them; empty: all."""

    probability: Probability = 0.0
    ids: tuple[Id, ...] = ()
    every_nth: Positive | None = None
    symbols: tuple[str, ...] = ()

    def check(self) -> None:
        """Refuse an enabled mode that chooses nothing."""
        if self.enabled and not (self.probability or self.ids or self.every_nth):
            raise self.not_allowed("enabled", "one of probability, ids or every_nth beside it, to choose messages by")


class ReorderMode(SelectMode, frozen=True, kw_only=True):
    """Chosen messages are held back until ``distance`` later data messages passed, at most ``hold_s``.

    One is held at a time; a message chosen meanwhile passes.
    """

    distance: Annotated[int, Meta(ge=1, le=1_000)] = 1
    hold_s: Seconds = 1.0
    """A bound, so that the last message before a quiet time is late rather than lost."""


class DelayMode(Mode, frozen=True, kw_only=True):
    """Data messages come ``delay_s`` late, and up to ``jitter_s`` more; their order stays.

    Counted once per burst: a burst is what comes within ``delay_s + jitter_s`` of its first message.
    """

    delay_s: Seconds = 0.5
    jitter_s: Seconds = 0.0


class SymbolSilentMode(FailureMode, frozen=True, kw_only=True):
    """Streams of ``symbols`` say nothing after N data messages of theirs; ``until`` tells what starts them anew.

    With ``after_messages`` 0 they never say anything.
    """

    symbols: tuple[str, ...] = ()
    until: Literal["resubscribe", "reconnect"] = "resubscribe"

    def check(self) -> None:
        """Refuse an enabled mode without a symbol."""
        if self.enabled and not self.symbols:
            raise self.not_allowed("symbols", "at least one symbol that falls silent")


class CorruptMode(SelectMode, frozen=True, kw_only=True):
    """Chosen data messages go out as frames that are no messages, in one of these ways each."""

    how: tuple[Literal["truncated", "not_json", "empty", "array", "scalar", "brackets", "surrogate", "huge"], ...] = (
        "truncated",
        "not_json",
        "empty",
        "array",
        "scalar",
        "brackets",
        "surrogate",
    )
    """``huge`` is not among the default ones: a client with a limit drops the connection at it."""
    huge_bytes: Annotated[int, Meta(ge=1, le=16_777_216)] = 10_000_000

    def check(self) -> None:
        """Refuse a mode that knows no way."""
        super().check()
        if not self.how:
            raise self.not_allowed("how", "at least one way")


class WrongTypesMode(SelectMode, frozen=True, kw_only=True):
    """Chosen data messages go out with a field that is wrong, in one of these ways each."""

    how: tuple[
        Literal[
            "id_text",
            "id_fraction",
            "id_negative",
            "id_jump",
            "id_backwards",
            "price_text",
            "price_null",
            "price_missing",
            "symbol_number",
            "type_missing",
            "type_unknown",
        ],
        ...,
    ] = (
        "id_text",
        "id_fraction",
        "id_negative",
        "id_jump",
        "id_backwards",
        "price_text",
        "price_null",
        "price_missing",
        "symbol_number",
        "type_missing",
        "type_unknown",
    )

    def check(self) -> None:
        """Refuse a mode that knows no way."""
        super().check()
        if not self.how:
            raise self.not_allowed("how", "at least one way")


class FlappingMode(Mode, frozen=True, kw_only=True):
    """Every connection is dropped after a life between these two, drawn by the seed."""

    up_min_s: Seconds = 1.0
    up_max_s: Seconds = 5.0

    def check(self) -> None:
        """Refuse a life that ends before it begins."""
        if self.up_max_s < self.up_min_s:
            raise self.not_allowed("up_max_s", f"at least up_min_s = {self.up_min_s}")


class RefuseMode(Mode, frozen=True, kw_only=True):
    """A WebSocket connection is refused: ``close`` drops it unanswered, the others say so, with ``Retry-After``."""

    how: Literal["close", "http_503", "http_429"] = "close"
    retry_after_s: Count | None = None


class RejectMode(Mode, frozen=True, kw_only=True):
    """SUBSCRIBE of streams of ``symbols`` is answered REJECTED for them, and SUBSCRIBED for the rest.

    What a connection has subscribed already stays subscribed. Counted once per SUBSCRIBE.
    """

    symbols: tuple[str, ...] = ()
    code: Annotated[str, Meta(min_length=1, max_length=64)] = "too_many_streams"

    def check(self) -> None:
        """Refuse an enabled mode without a symbol."""
        if self.enabled and not self.symbols:
            raise self.not_allowed("symbols", "at least one symbol that is rejected")


class PingFloodMode(Mode, frozen=True, kw_only=True):
    """The server sends PING frames of the WebSocket itself, on every open connection, until that is gone.

    Counted once per connection. So many wait for their PONG at a time as ``ping_flood.OUTSTANDING_MAX`` says.
    """

    pings_per_s: Annotated[float, Meta(ge=1.0, le=10_000.0)] = 200.0


class RestMode(Mode, frozen=True, kw_only=True):
    """A failure of REST requests. ``paths`` narrows it to paths that begin so; empty: all but the control API."""

    probability: Probability = 1.0
    paths: tuple[str, ...] = ()


class RateLimitMode(RestMode, frozen=True, kw_only=True):
    """429, or 418: a ban. With ``rate_limit_per_s`` only what exceeds so many requests per second and session."""

    status: Literal[429, 418] = 429
    rate_limit_per_s: Positive | None = None
    retry_after_s: Count | None = 1
    """Whole seconds in ``Retry-After``, as HTTP has it; None sends no header."""


class ServerErrorMode(RestMode, frozen=True, kw_only=True):
    """A 5xx reply."""

    status: Annotated[int, Meta(ge=500, le=599)] = 503


class SlowReplyMode(RestMode, frozen=True, kw_only=True):
    """A reply begins ``delay_s`` late and comes in pieces over ``trickle_s``."""

    delay_s: Seconds = 3.0
    trickle_s: Seconds = 0.0


class StaleReplyMode(RestMode, frozen=True, kw_only=True):
    """Prices end ``behind`` ids ago; snapshots stay as they were when first read.

    In the literal form, whose rows have no ids, each page of prices lacks its last ``behind`` rows.
    """

    behind: Positive = 10


class WrongReplyMode(RestMode, frozen=True, kw_only=True):
    """200 with a body that nobody can use, in one of these ways each."""

    how: tuple[Literal["html", "empty", "truncated", "array", "no_rows", "rows_null", "row_types"], ...] = (
        "html",
        "empty",
        "truncated",
        "array",
        "no_rows",
        "rows_null",
        "row_types",
    )

    def check(self) -> None:
        """Refuse a mode that knows no way."""
        if not self.how:
            raise self.not_allowed("how", "at least one way")


class EvictedMode(Mode, frozen=True, kw_only=True):
    """REST keeps the last ``keep`` ids of each stream and says so truthfully in ``first_seq``."""

    keep: Count = 100


class ClockSkewMode(Mode, frozen=True, kw_only=True):
    """The exchange's clock is ``offset_s`` off and gains ``drift`` seconds a second; for all sessions only.

    A stream's times never decrease: after a step back they stand still until the clock has caught up. Counted once:
    a clock is off for a while, not so many times.
    """

    offset_s: Annotated[float, Meta(ge=-86_400.0, le=86_400.0)] = 5.0
    drift: Annotated[float, Meta(ge=-0.9, le=10.0)] = 0.0

    def check(self) -> None:
        """Refuse a clock that is off so many times."""
        if self.count is not None:
            raise self.not_allowed("count", "none; duration_s ends it")


class RestartMode(Mode, frozen=True, kw_only=True):
    """The exchange restarts with a new epoch: ``after_s`` after it was switched on, and so on, ``count`` times."""

    count: Positive | None = 1
    after_s: Seconds = 0.0
    downtime_s: Seconds = 0.0

    def check(self) -> None:
        """Refuse a restart that repeats without a pause."""
        if self.count != 1 and self.after_s < 0.1:
            raise self.not_allowed("after_s", "at least 0.1 where count is not 1: the exchange would only restart")


class FailuresConfig(Settings, frozen=True, kw_only=True):
    """Which failures are on. None: nothing said; for a session id that means what holds for all sessions."""

    silent_connection: FailureMode | None = None
    """After N messages nothing is sent any more, PONG included; TCP stays open."""
    acknowledged_silent: Mode | None = None
    """WELCOME and acknowledgements are sent, nothing else."""
    pong_only: FailureMode | None = None
    """After N messages only PONGs are sent."""
    drop: SelectMode | None = None
    """Data messages are lost."""
    duplicate: SelectMode | None = None
    """Data messages are sent twice."""
    reorder: ReorderMode | None = None
    """Data messages are overtaken by later ones."""
    delay: DelayMode | None = None
    """Data messages come late."""
    symbol_silent: SymbolSilentMode | None = None
    """Some symbols say nothing more while others go on."""
    corrupt: CorruptMode | None = None
    """Data messages are no messages."""
    wrong_types: WrongTypesMode | None = None
    """Data messages have a wrong field."""
    ping_flood: PingFloodMode | None = None
    """The WebSocket's own PINGs come by the hundred."""
    flapping: FlappingMode | None = None
    """Connections never live long."""
    disconnect: FailureMode | None = None
    """After N messages the connection is dropped without a close frame."""
    refuse: RefuseMode | None = None
    """WebSocket connections are refused."""
    stalled_handshake: Mode | None = None
    """TCP is accepted, the upgrade never answered."""
    reject: RejectMode | None = None
    """Subscriptions of some symbols are rejected."""
    rate_limited: RateLimitMode | None = None
    """REST replies 429 or 418."""
    server_error: ServerErrorMode | None = None
    """REST replies 5xx."""
    slow_reply: SlowReplyMode | None = None
    """REST replies take their time."""
    cut_reply: RestMode | None = None
    """REST connections drop in the middle of the body."""
    wrong_reply: WrongReplyMode | None = None
    """REST replies 200 and nonsense."""
    stale_reply: StaleReplyMode | None = None
    """REST replies what was true a while ago."""
    evicted_history: EvictedMode | None = None
    """REST has forgotten all but the last ids."""
    clock_skew: ClockSkewMode | None = None
    """The exchange's clock is off; for all sessions only."""
    restart: RestartMode | None = None
    """The exchange restarts; for all sessions only."""
