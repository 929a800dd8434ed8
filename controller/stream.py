"""What an app subscribes to."""

from dataclasses import dataclass

from gapless.controller.errors import ConfigurationError


@dataclass(frozen=True, slots=True, order=True)
class Stream:
    """One channel of one symbol, for example ``Stream("ticker", "BTC/USD")``.

    Account channels have no symbol of their own: ``Stream("orders", "*")``.
    """

    channel: str
    symbol: str

    def __post_init__(self) -> None:
        for name, value in (("channel", self.channel), ("symbol", self.symbol)):
            if not isinstance(value, str) or not value or value != value.strip():
                raise ConfigurationError(f"a stream's {name} must be a text without outer blanks, got {value!r}")

    @classmethod
    def parse(cls, text: str) -> "Stream":
        """Read the ``CHANNEL:SYMBOL`` form of the command line.

        >>> Stream.parse("ticker:BTC/USD")
        Stream(channel='ticker', symbol='BTC/USD')

        Raises:
            ConfigurationError: there is no colon, or a side of it is empty.
        """
        channel, colon, symbol = text.partition(":")
        if not colon:
            raise ConfigurationError(f"a stream is written CHANNEL:SYMBOL, for example ticker:BTC/USD; got {text!r}")
        return cls(channel, symbol)

    def __str__(self) -> str:
        return f"{self.channel}:{self.symbol}"
