"""What ``gapless simulate`` serves: the reference exchange or a venue, generated or recorded."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from gapless.cli.endings import OneLineError
from gapless.simulator import CaptureError, ExchangeSimulator, Replay, SettingsError, SimulatorConfig, read_trades
from gapless.simulator.config import ServingConfig
from gapless.simulator.served import Served
from gapless.simulator.venues import VENUES, VenueConfig, VenueSimulator, read_capture
from gapless.simulator.venues.recording import duration_s

REFERENCE = "reference"
"""The name of the exchange that is no venue's double."""
_CHANNEL = "trade"
"""Where the reference exchange puts recorded trades."""

ConfigT = TypeVar("ConfigT", bound=ServingConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """What is served: an exchange, its recording if it has one, and what the ready line says of it."""

    exchange: Served
    replay: Callable[[], Awaitable[None]] | None
    facts: Mapping[str, object]


def settings_of(kind: type[ConfigT], file: Path | None, seed: int | None) -> ConfigT:
    """The configuration in a file, or the default; ``seed`` goes over it."""
    try:
        settings = kind() if file is None else kind.load(file)
        return settings if seed is None else msgspec.structs.replace(settings, seed=seed)
    except SettingsError as error:
        raise OneLineError(str(error)) from None
    except OSError as error:
        raise OneLineError(f"cannot read {file}: {error.strerror}") from None


def reference_exhibit(
    settings: SimulatorConfig, captures: tuple[Path, ...], speed: float, *, configured: bool
) -> Exhibit:
    """The reference exchange, with a recording for its market where there are captures."""
    replay: Replay | None = None
    if captures:
        settings, replay = _recorded(settings, captures, speed, keep_channels=configured)
    exchange = ExchangeSimulator(settings)

    async def run() -> None:
        if replay is not None:
            await replay.run(exchange)

    facts = {
        "venue": REFERENCE,
        "epoch": exchange.epoch,
        "symbols": settings.symbols,
        "channels": settings.channels,
        "seed": settings.seed,
        "replay_s": None if replay is None else round(replay.duration_s, 3),
    }
    return Exhibit(exchange=exchange, replay=run if captures else None, facts=facts)


def _recorded(
    settings: SimulatorConfig, captures: tuple[Path, ...], speed: float, *, keep_channels: bool
) -> tuple[SimulatorConfig, Replay]:
    """An exchange whose market is the recording. What a file configured besides stays, as streams that are quiet."""
    try:
        trades = read_trades(*captures)
        symbols = dict.fromkeys(trade.symbol for trade in trades)
        if keep_channels:
            symbols |= dict.fromkeys(settings.symbols)
        channels = dict.fromkeys((_CHANNEL, *(settings.channels if keep_channels else ())))
        settings = msgspec.structs.replace(settings, symbols=tuple(symbols), channels=tuple(channels), rate_per_s=0.0)
    except (CaptureError, SettingsError) as error:
        raise OneLineError(str(error)) from None
    return settings, Replay(trades, speed, channel=_CHANNEL)


def venue_exhibit(name: str, settings: VenueConfig, captures: tuple[Path, ...], speed: float) -> Exhibit:
    """A venue; where there is a recording it is the market, and symbols configured besides are quiet."""
    venue = VENUES[name]()
    try:
        trades = read_capture(venue.capture_reader(), *captures) if captures else ()
        if trades:
            symbols = dict.fromkeys((*(each.trade.symbol for each in trades), *settings.symbols))
            settings = msgspec.structs.replace(settings, symbols=tuple(symbols), rate_per_s=0.0)
        exchange = VenueSimulator(venue, settings)
    except (CaptureError, SettingsError) as error:
        raise OneLineError(str(error)) from None

    async def run() -> None:
        await exchange.replay(trades, speed)

    facts = {
        "venue": name,
        "symbols": exchange.config.symbols,
        "seed": exchange.config.seed,
        "replay_s": round(duration_s(trades, speed), 3) if trades else None,
    }
    return Exhibit(exchange=exchange, replay=run if trades else None, facts=facts)
