"""What a demo is made of: the script, the settings, and all that a view may look at while it runs."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final, NoReturn, TypeAlias

from gapless.cli.story import Story
from gapless.cli.tally import Tally
from gapless.controller import ConnectionController, NetworkConfig, Stream
from gapless.simulator import ExchangeSimulator, Replay, SimulatorConfig, Trade

GENERATED: Final = (Stream("ticker", "BTC/USD"), Stream("ticker", "ETH/USD"), Stream("trade", "BTC/USD"))
_RECORDED: Final = "trade"
"""Where recorded trades go."""

CONFIG: Final = NetworkConfig(
    ws_idle_timeout=2.0,
    # A handshake that stalls is given up while one watches.
    attempt_timeout=5.0,
    heartbeat_interval=5.0,
    heartbeat_timeout=2.0,
    # Jitter up to a second: the story has a time to keep. Two attempts are a second apart in any case.
    reconnect_max_backoff=1.0,
    reconnect_max_attempts=None,
)
SILENCE_MAX_S: Final = CONFIG.ws_idle_timeout + 0.1
"""The promise about silences: the idle window and 100 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What to play.

    Attributes:
        seconds: how long the market is open; None: until the replay is over.
        seed: of the market, the failures and the jitter.
        trades: recorded trades as the market, in place of the generated one.
        speed: how much faster than recorded they come.

    Raises:
        SettingsError: a recorded symbol is none that an exchange takes.
    """

    seconds: float | None = None
    seed: int = 1
    trades: Sequence[Trade] = ()
    speed: float = 1.0

    def __post_init__(self) -> None:
        _ = self.exchange_config

    @property
    def replay(self) -> Replay | None:
        """The market, where it is recorded."""
        return Replay(self.trades, self.speed, channel=_RECORDED) if self.trades else None

    @property
    def story_s(self) -> float:
        """How long the story takes: a failure needs a lively market to strike."""
        replay_s = self.replay.duration_s if self.replay else inf
        return min(replay_s, inf if self.seconds is None else self.seconds)

    @property
    def exchange_config(self) -> SimulatorConfig:
        """The exchange whose market it is."""
        symbols = [trade.symbol for trade in self.trades] or [stream.symbol for stream in GENERATED]
        channels = [_RECORDED] if self.trades else [stream.channel for stream in GENERATED]
        return SimulatorConfig(
            seed=self.seed,
            symbols=tuple(dict.fromkeys(symbols)),
            channels=tuple(dict.fromkeys(channels)),
            rate_per_s=0.0,
            record=True,
        )

    @property
    def streams(self) -> Sequence[Stream]:
        """What the demo subscribes to."""
        if not self.trades:
            return GENERATED
        return [Stream(_RECORDED, symbol) for symbol in dict.fromkeys(trade.symbol for trade in self.trades)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """All a view may look at while the demo runs."""

    script: Script
    began_at: float
    wall_began_at: float
    story: Story
    controller: ConnectionController
    tally: Tally
    exchange: ExchangeSimulator
    url: str = ""
    """Of the dashboard, where there is one."""


Show: TypeAlias = Callable[[Scene], Awaitable[NoReturn]]
"""Shows a scene until it is cancelled."""
