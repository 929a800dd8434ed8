"""The simulator's configuration, from code or from a TOML file."""

import tomllib
from pathlib import Path
from typing import Annotated, Self

import msgspec
from msgspec import Meta

from gapless.simulator.compression import COMPRESSORS, Compression
from gapless.simulator.failure_modes import FailuresConfig
from gapless.simulator.messages import ACCOUNT_CHANNELS, ACCOUNT_SYMBOL
from gapless.simulator.settings import Positive, Settings, SettingsError, Timeout, decoded

Name = Annotated[str, Meta(pattern=r"^[!-~]{1,64}\Z")]
"""A channel or a symbol: 1 to 64 visible ASCII characters."""
Rate = Annotated[float, Meta(ge=0.0, le=100_000.0)]
"""Per second; above the limit one process could not keep its word."""


class ServingConfig(Settings, frozen=True, kw_only=True):
    """What every exchange is configured by: its market, its failures, and bounds on what a client may take."""

    seed: int = 1
    symbols: tuple[Name, ...] = ()
    rate_per_s: Rate = 10.0
    history_size: Annotated[int, Meta(ge=1, le=10_000_000)] = 100_000
    """Ids kept per stream for REST; what lies below is gone."""
    failures: FailuresConfig = FailuresConfig()
    sessions_max: Positive = 1_000
    """Open connections, handshakes included; more are closed at once."""
    message_bytes_max: Positive = 65_536
    """Longest message a client may send; a longer one closes its connection with 1009."""
    outbound_queue_max: Positive = 10_000
    """Messages waiting for one client; when it is full the client is too slow and is cut off, as real venues do."""
    send_timeout_s: Timeout = 30.0
    """How long one client may take nothing before it is cut off."""
    compression: Compression = "off"
    """Of REST replies, for clients that accept it; ``zstd`` needs the package ``zstandard``."""
    handshake_timeout_s: Timeout = 10.0
    """How long a client may take for its side of the WebSocket handshake."""

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a TOML file with these fields, failures as tables: ``[failures.silent_connection]``.

        Raises:
            SettingsError: it is not TOML, a field is unknown, or a value is not allowed.
            OSError: it cannot be read.
        """
        try:
            table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, more digits or nesting than Python reads
            raise SettingsError(f"{path}: expected TOML in UTF-8: {error}") from None
        try:
            return decoded(cls, lambda: table)
        except SettingsError as error:
            raise SettingsError(f"{path}: {error}") from None

    def check(self) -> None:
        """Refuse what a single field cannot tell."""
        self.check_names("symbols")
        if self.compression not in {"off", *COMPRESSORS}:
            raise self.not_allowed("compression", f"{', '.join(COMPRESSORS)} or off: zstandard is not installed")
        self.check_symbols(self.failures)

    def check_names(self, field: str) -> None:
        """Refuse a field that names nothing, or something twice."""
        names: tuple[str, ...] = getattr(self, field)
        if not names or len(set(names)) != len(names):
            raise self.not_allowed(field, "at least one name, none twice")

    @property
    def failing_symbols(self) -> tuple[str, ...]:
        """What failures of single symbols may name."""
        return self.symbols

    def check_symbols(self, failures: FailuresConfig) -> None:
        """Refuse failures of symbols that the exchange does not have: they would never happen.

        Raises:
            SettingsError: naming the failure, the symbol and the symbols there are.
        """
        known = self.failing_symbols
        for field in msgspec.structs.fields(FailuresConfig):
            symbols: tuple[str, ...] = getattr(getattr(failures, field.name), "symbols", ())
            for symbol in symbols:
                if symbol not in known:
                    raise SettingsError(
                        f"FailuresConfig.{field.name}.symbols names {symbol!r}: expected some of {', '.join(known)}",
                        field=f"failures.{field.name}.symbols",
                    )


class SimulatorConfig(ServingConfig, frozen=True, kw_only=True):
    """Everything about one exchange. The same configuration and seed give the same market and the same failures.

    ``rate_per_s``: ids issued per second and stream, evenly spaced; 0: only what :meth:`ExchangeSimulator.publish`
    issues.

    Raises:
        SettingsError: a value is not allowed; the message names the field, the value and what is.
    """

    symbols: tuple[Name, ...] = ("BTC/USD", "ETH/USD")
    channels: tuple[Name, ...] = ("ticker", "trade")
    account_rate_per_s: Rate = 0.0
    """Orders and balances changed per second by the generator of account activity; 0: none."""
    streams_max: Positive = 1_000
    """Streams one connection may subscribe."""
    literal: bool = False
    """Speak the specification's literal form: no epochs, no marks, REST rows without ids, times alone to ask by."""
    record: bool = False
    """Keep every issued message, for a checker: memory without a bound."""

    def check(self) -> None:
        """Refuse what a single field cannot tell."""
        self.check_names("channels")
        taken = [channel for channel in self.channels if channel in ACCOUNT_CHANNELS]
        if taken:
            raise self.not_allowed("channels", f"market channels; {' and '.join(ACCOUNT_CHANNELS)} always exist")
        super().check()

    @property
    def failing_symbols(self) -> tuple[str, ...]:
        """The market's, and the one of the accounts."""
        return (*self.symbols, ACCOUNT_SYMBOL)
