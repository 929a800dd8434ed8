"""Every switch of a controller, with its unit, default and effect in one place.

``gapless watch --config FILE.toml`` and ``--set FIELD=VALUE`` take exactly these fields.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from math import isfinite
from pathlib import Path
from typing import Final, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from gapless.controller.errors import ConfigurationError

_T = TypeVar("_T")

_WHOLE_MAX: Final = 2**63 - 1
"""What fits a signed 64-bit integer. Python's own numbers grow until they no longer convert to a float."""
_SHOWN_MAX: Final = 200
"""Characters of a value in a message; what is wrong with a longer one shows in its beginning."""
_WORDS: Final[Mapping[object, str]] = {
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    type(None): "none",
}
"""What a text must say to become a value of this type."""


def _setting(
    default: _T,
    *,
    unit: str,
    effect: str,
    source: str = "the specification",
    at_least: float | None = None,
    above: float | None = None,
) -> _T:
    """A field with its documentation, where its default comes from, and its bound."""
    made: _T = field(
        default=default,
        metadata={"unit": unit, "effect": effect, "source": source, "at_least": at_least, "above": above},
    )
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """How a controller behaves. Validates itself when built.

    Raises:
        ConfigurationError: naming the field, the value and what is allowed.
    """

    heartbeat_interval: float = _setting(
        60.0,
        unit="s",
        above=0,
        effect="time between two PINGs; also the longest idle window that quiet verdicts lead to",
    )
    heartbeat_timeout: float = _setting(
        10.0, unit="s", above=0, effect="a PING unanswered for this long is overdue; also bounds the silence verdict"
    )
    ws_idle_timeout: float = _setting(
        10.0, unit="s", above=0, effect="no market data for this long on the connection is a silence to verify"
    )
    silence_policy: Literal["confirm", "immediate"] = _setting(
        "confirm",
        unit="-",
        effect="confirm: tell a quiet market from a dead socket first; immediate: reconnect",
        source="a venue may be quiet for minutes; the specification's way is immediate",
    )
    rest_fetch_interval: float = _setting(
        2.0, unit="s", above=0, effect="time between two REST collections of a stream while live data does not flow"
    )
    rest_fetch_adaptive: bool = _setting(
        default=False,
        unit="-",
        effect="let that interval go with each stream's rate: as above at 1 datum/s, a quarter of it at 16",
        source="the specification's interval is fixed",
    )
    rest_fetch_interval_min: float = _setting(
        0.5,
        unit="s",
        above=0,
        effect="shortest interval of an adaptive collection",
        source="a quarter of the usual one",
    )
    rest_fetch_interval_max: float = _setting(
        10.0,
        unit="s",
        above=0,
        effect="longest interval of an adaptive collection, unless the budget is short",
        source="as long as the idle window",
    )
    rest_timeout: float = _setting(
        5.0,
        unit="s",
        above=0,
        effect="deadline of one REST request, whole reply included",
        source="half of the heartbeat's patience",
    )
    rest_compression: bool = _setting(
        default=True,
        unit="-",
        effect="ask for compressed replies: gzip, deflate, and zstd where zstandard is installed (`gapless[zstd]`)",
        source="a page of 1,000 rows is a sixth of its size on the wire, for a quarter of a millisecond",
    )
    max_retries: int = _setting(3, unit="retries", at_least=0, effect="retries of a REST request before it has failed")
    rate_limit_proactive: bool = _setting(
        default=True, unit="-", effect="keep requests inside the window below; off: only react to 429"
    )
    rate_limit_requests: int = _setting(
        10,
        unit="requests",
        at_least=1,
        effect="requests allowed in one window; at its default: what the venue's adapter says, where it says one",
        source="the specification's example",
    )
    rate_limit_window: float = _setting(
        1.0,
        unit="s",
        above=0,
        effect="length of the sliding window; at its default: what the venue's adapter says, where it says one",
        source="the specification's example",
    )
    rate_limit_initial_backoff: float = _setting(1.0, unit="s", above=0, effect="pause after the first 429")
    rate_limit_max_backoff: float = _setting(60.0, unit="s", above=0, effect="longest pause of gapless's own making")
    rate_limit_backoff_multiplier: float = _setting(2.0, unit="x", at_least=1, effect="growth of the pause per 429")
    circuit_breaker_failures: int = _setting(
        5,
        unit="requests",
        at_least=0,
        effect="failed requests in a row that stop all others for a pause; 0: never",
        source="one request with its three retries, and one more",
    )
    circuit_breaker_pause: float = _setting(
        5.0,
        unit="s",
        above=0,
        effect="length of that pause; after it one request probes",
        source="one probe in the time of two polls and a half",
    )
    reconciliation_enabled: bool = _setting(
        default=True, unit="-", effect="fill gaps over REST; off: a gap is ContinuityLost at once"
    )
    price_history_limit: int = _setting(1000, unit="rows", at_least=1, effect="rows asked for in one REST page")
    reconnect_initial_backoff: float = _setting(1.0, unit="s", above=0, effect="upper end of the first jittered delay")
    reconnect_max_backoff: float = _setting(60.0, unit="s", above=0, effect="upper end of the longest jittered delay")
    reconnect_max_attempts: int | None = _setting(
        10, unit="attempts", at_least=1, effect="fruitless attempts in a row before giving up; none: never gives up"
    )
    reconnect_exhausted: Literal["stay", "raise"] = _setting(
        "stay",
        unit="-",
        effect="attempts spent: stay in REST_FALLBACK and collect, or raise ReconnectExhaustedError",
        source="REST data is better than none",
    )
    attempt_timeout: float = _setting(
        10.0,
        unit="s",
        above=0,
        effect="deadline of one attempt, from dialling to the last SUBSCRIBED",
        source="as long as the idle window",
    )
    rotate_after: float | None = _setting(
        None,
        unit="s",
        above=0,
        effect="age at which a successor socket takes over; none: never by itself",
        source="venues that cut after 24 h: 85,500 s is a quarter of an hour before",
    )
    suspend_after: float = _setting(
        10.0,
        unit="s",
        above=0,
        effect="clocks that part by more than this mean that the machine slept",
        source="longer than any pause of a healthy process",
    )
    buffer_size: int = _setting(
        10_000,
        unit="events",
        at_least=2,
        effect="market data held for a slow app; what does not fit is fetched again",
        source="10 s at 1,000 events/s",
    )
    ordering: Literal["arrival", "sequence"] = _setting(
        "arrival",
        unit="-",
        effect="arrival: live data never waits; sequence: what lies behind a gap is held back",
        source="live data never waits, as in the specification",
    )
    overflow: Literal["refetch", "conflate", "raise"] = _setting(
        "refetch",
        unit="-",
        effect="a full buffer: refetch over REST later; conflate to the latest per stream; raise at the app",
        source="nothing is lost",
    )
    reorder_window: float = _setting(
        0.0,
        unit="s",
        at_least=0,
        effect="how long a skipped id may still arrive before it is called a gap",
        source="one socket keeps its order; venues that merge several need 0.05 to 0.5",
    )
    sequence_jump_max: int = _setting(
        100_000,
        unit="ids",
        at_least=1,
        effect="an id further ahead than this is not believed until confirmed",
        source="100 s at 1,000 ids/s; REST confirms what is longer",
    )
    open_intervals_max: int = _setting(
        1_000,
        unit="gaps",
        at_least=1,
        effect="open gaps kept per stream; beyond, the oldest is ContinuityLost",
        source="every second message lost, for 2,000 messages",
    )
    transport: Literal["trio-websocket", "wire"] = _setting(
        "trio-websocket",
        unit="-",
        effect="what opens sockets: trio-websocket, or frames cut out of whole reads beside the parser of websockets",
        source="the specification",
    )
    message_size_max: int = _setting(
        1_048_576,
        unit="bytes",
        at_least=1_024,
        effect="largest WebSocket message taken",
        source="what trio-websocket takes by default",
    )
    reply_size_max: int = _setting(
        16_777_216,
        unit="bytes",
        at_least=1_024,
        effect="largest REST reply taken, decompressed",
        source="eighty pages of 1,000 rows",
    )

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for each in fields(self):
            self._check(each.name, getattr(self, each.name), hints[each.name], each.metadata)
        for low, high in (
            ("rate_limit_initial_backoff", "rate_limit_max_backoff"),
            ("reconnect_initial_backoff", "reconnect_max_backoff"),
            ("rest_fetch_interval_min", "rest_fetch_interval_max"),
        ):
            if getattr(self, low) > getattr(self, high):
                raise ConfigurationError(
                    f"{high} must be at least {low} ({getattr(self, low)}), got {getattr(self, high)}"
                )
        low_s, usual_s, high_s = self.rest_fetch_interval_min, self.rest_fetch_interval, self.rest_fetch_interval_max
        if self.rest_fetch_adaptive and not low_s <= usual_s <= high_s:
            raise ConfigurationError(
                f"with rest_fetch_adaptive, rest_fetch_interval must lie between rest_fetch_interval_min ({low_s}) and "
                f"rest_fetch_interval_max ({high_s}), got {usual_s}"
            )

    @staticmethod
    def _check(name: str, value: object, expected: object, bound: Mapping[str, float | str | None]) -> None:
        _converted(name, value, expected, strict=True)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return
        if isinstance(value, int) and value > _WHOLE_MAX:
            raise ConfigurationError(
                f"{name} = {_shown(value)} is not allowed: expected a whole number of at most {_WHOLE_MAX}"
            )
        above, at_least = bound["above"], bound["at_least"]
        if isinstance(above, int | float) and not (value > above and isfinite(value)):
            raise ConfigurationError(f"{name} = {_shown(value)} is not allowed: expected a finite number > {above}")
        if isinstance(at_least, int | float) and not (value >= at_least and isfinite(value)):
            raise ConfigurationError(f"{name} = {_shown(value)} is not allowed: expected a finite number >= {at_least}")

    def within(self, budget: tuple[int, float] | None, *, rotate_after_s: float | None = None) -> "NetworkConfig":
        """With a venue's terms in place of what is left at its default.

        Args:
            budget: requests, and the window they are allowed in, seconds; None: not known.
            rotate_after_s: the age of a socket that is to be replaced, seconds; None: no venue cuts it.

        Raises:
            ConfigurationError: terms that no host can mean.
        """
        named: dict[str, float] = {} if rotate_after_s is None else {"rotate_after": rotate_after_s}
        if budget is not None:
            named |= zip(("rate_limit_requests", "rate_limit_window"), budget, strict=True)
        if not named:
            return self
        left = {each.name for each in fields(self) if getattr(self, each.name) == each.default}
        return replace(self, **{name: value for name, value in named.items() if name in left})  # type: ignore[arg-type]

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> "NetworkConfig":
        """Build from a parsed TOML table.

        Raises:
            ConfigurationError: an unknown field, or a value that is not allowed.
        """
        known = get_type_hints(cls)
        for name in values:
            if name not in known:
                raise ConfigurationError(f"unknown setting {name!r}; known are {', '.join(sorted(known))}")
        converted = {name: _converted(name, value, known[name], strict=True) for name, value in values.items()}
        return cls(**converted)  # type: ignore[arg-type]  # each value was just converted to its field's type

    @classmethod
    def from_text(cls, assignments: Mapping[str, str], base: Mapping[str, object] | None = None) -> "NetworkConfig":
        """Build from ``FIELD=VALUE`` texts, as the command line's ``--set`` gives them, on top of ``base``."""
        known = get_type_hints(cls)
        values: dict[str, object] = dict(base or {})
        for name, text in assignments.items():
            if name not in known:
                raise ConfigurationError(f"unknown setting {name!r}; known are {', '.join(sorted(known))}")
            values[name] = _converted(name, text, known[name], strict=False)
        return cls.from_mapping(values)


def load_settings(path: Path) -> dict[str, object]:
    """Read the settings of a TOML file: the table ``[network]``, or the top level where there is none.

    Raises:
        ConfigurationError: the file is missing, unreadable or not TOML.
    """
    try:
        with path.open("rb") as file:
            document = tomllib.load(file)
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, more digits or nesting than Python reads
        raise ConfigurationError(f"{path} is not TOML: {error}") from None
    table = document.get("network", document)
    if not isinstance(table, dict):
        raise ConfigurationError(f"{path}: expected a table [network], got {_shown(table)}")
    return table


def _converted(name: str, value: object, expected: object, *, strict: bool) -> object:
    if value == "none" and type(None) in get_args(expected):
        return None
    try:
        converted: object = msgspec.convert(value, expected, strict=strict)
    except msgspec.ValidationError as error:
        raise ConfigurationError(
            f"{name} = {_shown(value)} is not allowed: {_allowed(expected, str(error), strict=strict)}"
        ) from None
    return converted


def _allowed(expected: object, complaint: str, *, strict: bool) -> str:
    """What a field takes. The library's ``complaint`` names the type that came, too; a text is always a text."""
    if get_origin(expected) is Literal:
        return f"expected one of {', '.join(get_args(expected))}"
    if strict and complaint.startswith("Expected"):
        return f"e{complaint[1:]}"
    words = " or ".join(_WORDS[kind] for kind in get_args(expected) or (expected,))
    return f"expected {words}" + (" of at most 64 bits" if "out of range" in complaint else "")


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # more digits than Python shows
        return f"<{type(value).__name__} too large to show>"
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}..."
