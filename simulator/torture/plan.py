"""What a seed means: the world's settings, and which fault strikes when. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, unique
from random import Random
from typing import Final

from gapless.controller import NetworkConfig, Stream
from gapless.simulator.torture.catalogue import FAULTS

MARKET: Final = (Stream("ticker", "BTC/USD"), Stream("ticker", "ETH/USD"), Stream("trade", "BTC/USD"))
ACCOUNTS: Final = (Stream("orders", "*"), Stream("balance", "*"))
CONVERGE_S: Final = 240.0
"""Within this time after the last fault the controller is CONNECTED and whole. The sum of the waits that may have begun
just then: the longest backoff (60 s), a Retry-After (40 s), an idle window that quiet verdicts have doubled up to the
heartbeat's interval (60 s), two attempts (20 s), a circuit's pauses, and as much again for the refills."""
SETTLE_S: Final = 15.0
"""After that the market closes, and within this time the app has everything."""


_CANNOT_BE_JUDGED: Final[Mapping[str, str]] = {
    "overflow": "the first overflow ends the run, as it is asked to, and nothing after it can be judged",
    "reconnect_exhausted": "the last attempt ends the run, as it is asked to, and nothing after it can be judged",
}
"""Setting -> why ``raise`` is no value for it here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is common to all seeds of a run.

    Attributes:
        hours: of the faulty part of a world; converging comes on top.
        rate_per_s: market data issued per second, on all streams together.
        faults: names of the classes that may strike; empty: all.
        settings: fields of ``NetworkConfig`` that no seed may choose otherwise.
    """

    hours: float = 0.25
    rate_per_s: float = 2.0
    faults: tuple[str, ...] = ()
    settings: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.hours <= 10_000:
            raise ValueError(f"hours = {self.hours}: expected more than 0 and at most 10000")
        if not 0 < self.rate_per_s <= 1_000:
            raise ValueError(
                f"rate_per_s = {self.rate_per_s}: expected more than 0 and at most 1000 messages per second"
            )
        unknown = [name for name in self.faults if name not in FAULTS]
        if unknown:
            raise ValueError(f"unknown faults: {', '.join(unknown)}; known are {', '.join(FAULTS)}")
        for name, reason in _CANNOT_BE_JUDGED.items():
            if self.settings.get(name) == "raise":
                raise ValueError(f"{name}=raise: {reason}; expected another value")
        NetworkConfig.from_mapping(self.settings)


@unique
class Venue(Enum):
    """What its REST side can tell."""

    COMPLETE = "complete"
    WITHOUT_TRADE_HISTORY = "no history of trades"
    WITHOUT_LAST_ID = "replies without the last id"
    FORGETFUL = "one id in ten never kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """One fault at one moment."""

    at_s: float
    fault: str
    duration_s: float
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One world, before it begins."""

    seed: int
    terms: Terms
    settings: Mapping[str, object]
    """What is not left at its default, and some that are."""
    config: NetworkConfig
    streams: tuple[Stream, ...]
    venue: Venue
    gives_in: bool
    """Whether the app asks for a reconnect once the controller has given up."""
    strikes: tuple[Strike, ...]
    leaves_at: float | None
    """When the app leaves in the middle of a strike; None: it leaves when all is over."""

    @property
    def faulty_s(self) -> float:
        """Seconds until everybody behaves."""
        return self.terms.hours * 3600.0


_CHOICES: Final[Mapping[str, Sequence[object]]] = {
    "ordering": ("arrival", "arrival", "sequence"),
    "overflow": ("refetch", "refetch", "conflate"),
    "buffer_size": (10_000, 10_000, 200, 50),
    "reorder_window": (0.0, 0.0, 0.3),
    "rotate_after": (None, None, 120.0, 400.0),
    "silence_policy": ("confirm", "confirm", "confirm", "immediate"),
    "reconnect_max_attempts": (10, 10, None, 3),
    "reconciliation_enabled": (True, True, True, True, True, True, True, False),
    "open_intervals_max": (1_000, 1_000, 5),
    "price_history_limit": (1_000, 1_000, 20),
    "circuit_breaker_failures": (5, 5, 0),
    "sequence_jump_max": (100_000, 100_000, 100),
}
"""What a seed draws; the defaults most often."""


def draw(seed: int, terms: Terms) -> Plan:
    """The world of a seed."""
    random = Random(f"world {seed}")  # noqa: S311  # a world must be repeatable
    settings: dict[str, object] = {name: random.choice(choices) for name, choices in _CHOICES.items()}
    if random.random() < 0.25:
        settings |= {"heartbeat_interval": 4.0, "heartbeat_timeout": 2.0}
    venue = random.choices(list(Venue), weights=(6, 1, 1, 1))[0]
    if venue is Venue.WITHOUT_LAST_ID:
        # Where REST cannot say how far it has come, nobody can vouch for a jump but the next id.
        settings["sequence_jump_max"] = 100_000
    # A draw of its own: the worlds are the same, whichever transport meets them.
    settings["transport"] = Random(f"transport {seed}").choice(("trio-websocket", "wire"))  # noqa: S311
    settings |= terms.settings
    config = NetworkConfig.from_mapping(settings)
    markets = len(MARKET) if venue is Venue.WITHOUT_TRADE_HISTORY else random.choice((1, 2, 2, 3))
    streams = MARKET[:markets] + (ACCOUNTS if random.random() < 0.3 else ())
    gives_in = random.random() < 0.8
    strikes = tuple(_strikes(random, terms, config))
    return Plan(
        seed=seed,
        terms=terms,
        settings=settings,
        config=config,
        streams=streams,
        venue=venue,
        gives_in=gives_in,
        strikes=strikes,
        leaves_at=_leaves_at(seed, strikes),
    )


def _leaves_at(seed: int, strikes: Sequence[Strike]) -> float | None:
    """One app in four leaves in the second half of its world, while something is wrong."""
    random = Random(f"leaving {seed}")  # noqa: S311  # a world must be repeatable
    if not strikes or random.random() >= 0.25:
        return None
    strike = random.choice(strikes[len(strikes) // 2 :])
    return strike.at_s + min(random.uniform(0.0, 1.0) * strike.duration_s, random.choice((0.05, 2.0, 20.0)))


def _strikes(random: Random, terms: Terms, config: NetworkConfig) -> list[Strike]:
    """Faults one after another, sometimes two or three at once; between them mostly time to recover, sometimes none.

    They are dealt from a deck, so that each class has its turn.
    """
    names = terms.faults or tuple(FAULTS)
    deck: list[str] = []
    strikes: list[Strike] = []
    pace_s = config.ws_idle_timeout
    at_s = random.uniform(0.0, 2.0 * pace_s)
    end_s = terms.hours * 3600.0
    while at_s < end_s:
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            deck = deck or random.sample(names, len(names))
            strikes.append(
                Strike(
                    at_s=at_s,
                    fault=deck.pop(),
                    duration_s=min(random.uniform(0.1, 2.0) * pace_s, end_s - at_s),
                    seed=random.getrandbits(32),
                )
            )
            at_s = min(at_s + random.choice((0.0, random.uniform(0.0, pace_s))), end_s)
        at_s += pace_s * random.choice((random.uniform(0.0, 1.0), random.uniform(6.0, 20.0), random.uniform(6.0, 20.0)))
    return strikes
