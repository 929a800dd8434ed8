"""The dashboard as commands serve it: where it listens, an empty picture, and the buttons of a demo."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from time import time
from typing import Final
from uuid import uuid4

import click

from gapless.controller import Stream
from gapless.dashboard import Faults, Picture, open_faults
from gapless.dashboard.wire import Mode

PORT: Final = click.IntRange(0, 65_535)
CANDLE_S: Final = 5
"""Seconds a candle is wide: a demo of a minute shows a dozen."""
_NAMED_MAX: Final = 3
"""Symbols in the title of a page; more would not fit in a tab."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Where a page is served, and what a candle is."""

    host: str = "127.0.0.1"
    port: int = 0
    candle_s: int = CANDLE_S

    def picture(self, streams: Sequence[Stream], mode: Mode, wall_clock: Callable[[], float] = time) -> Picture:
        """An empty picture of these streams."""
        symbols = symbols_of(streams)
        more = f" +{len(symbols) - _NAMED_MAX}" if len(symbols) > _NAMED_MAX else ""
        return Picture(
            began_at=wall_clock(),
            run=uuid4().hex[:12],
            mode=mode,
            title=", ".join(symbols[:_NAMED_MAX]) + more or "gapless",
            interval_s=self.candle_s,
        )


def symbols_of(streams: Sequence[Stream]) -> Sequence[str]:
    """What is traded there, each once."""
    return list(dict.fromkeys(stream.symbol for stream in streams if stream.symbol != "*"))


def buttons(
    picture: Picture,
    *,
    rest_url: str,
    session_id: str,
    streams: Sequence[Stream],
    wall_clock: Callable[[], float] = time,
) -> AbstractAsyncContextManager[Faults]:
    """The buttons of a demo, each press noted on the time line."""
    return open_faults(
        rest_url=rest_url,
        session_id=session_id,
        note=lambda text: picture.fault(wall_clock(), text),
        quiet_symbol=symbols_of(streams)[-1],
    )
