"""What an app subscribes to."""

from dataclasses import dataclass
from typing import Final
from unicodedata import category

from gapless.controller.errors import ConfigurationError

_NAME_LENGTH_MAX: Final = 256
"""Characters. Three times the longest option's symbol, and far from what a URL may not hold any more."""
_CANNOT_BE_SAID: Final = {"Cc", "Cs"}
"""Control characters, and the lone surrogates that stand for bytes which are not UTF-8."""


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
            if len(value) > _NAME_LENGTH_MAX or not (value.isprintable() or _can_be_said(value)):
                raise ConfigurationError(
                    f"a stream's {name} must be UTF-8 without control characters, at most {_NAME_LENGTH_MAX} "
                    f"characters, got {value[:_NAME_LENGTH_MAX]!r}"
                )

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


def _can_be_said(text: str) -> bool:
    return not any(category(sign) in _CANNOT_BE_SAID for sign in text)
