"""Texts of peers, cut to a size that a page can show and a server can keep."""

from typing import Final

NAME_LENGTH_MAX: Final = 64
"""Characters of a symbol, an id, a status on the screen."""
TEXT_LENGTH_MAX: Final = 300
"""Characters of a reason or an error message: three lines on the screen."""


def cut(text: str, length_max: int = TEXT_LENGTH_MAX) -> str:
    """The text, or its beginning and an ellipsis.

    >>> cut("BTC/USD", 4)
    'BTC…'
    """
    return text if len(text) <= length_max else f"{text[: length_max - 1]}…"
