"""The controllers that one exporter reports, each under a name; and reading them from any thread."""

from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswerError
from contextlib import contextmanager
from typing import Final, Protocol

import trio

from gapless.controller.errors import ConfigurationError
from gapless.controller.metrics.histogram import Histograms
from gapless.controller.metrics.snapshot import Metrics

STREAMS_MAX: Final = 100
"""Streams of a feed up to which each has its own series: a series costs a monitoring system some kilobytes for ever."""
_ANSWER_S: Final = 1.0
"""Seconds that a thread waits for the controller's. An event loop that does not answer for so long has other troubles,
and whoever is waited for may be waiting for us: an SDK that is shut down in that loop collects once more, elsewhere."""


class Measured(Protocol):
    """What an exporter needs of a controller."""

    @property
    def histograms(self) -> Histograms:
        """Where durations are recorded."""
        ...

    def metrics(self) -> Metrics:
        """Everything there is to know now."""
        ...


class Reader:
    """Reads one controller, from its own thread or from another one.

    One that was joined outside of any trio run is an asyncio app's, which can be asked from any thread by itself.
    """

    def __init__(self, controller: Measured) -> None:
        self._controller = controller
        self._home = trio.lowlevel.current_trio_token() if trio.lowlevel.in_trio_run() else None

    def read(self) -> Metrics | None:
        """A snapshot of now; None: the controller's thread does not answer."""
        if self._home is None:
            try:
                return self._controller.metrics()
            except RuntimeError:
                return None  # It has ended.
        if trio.lowlevel.in_trio_run() and trio.lowlevel.current_trio_token() is self._home:
            return self._controller.metrics()
        answer: Future[Metrics] = Future()
        try:
            self._home.run_sync_soon(self._answer, answer)
            return answer.result(_ANSWER_S)
        except (trio.RunFinishedError, NoAnswerError):
            return None

    def _answer(self, answer: "Future[Metrics]") -> None:
        try:
            answer.set_result(self._controller.metrics())
        except Exception as error:  # noqa: BLE001 (whoever asked gets it; here it would end the run)
            answer.set_exception(error)


class Feeds:
    """Who is reported now, by name.

    Args:
        streams_max: a feed with more streams has no series of its own for each of them.
    """

    def __init__(self, streams_max: int) -> None:
        self.streams_max: Final = streams_max
        self._readers: dict[str, Reader] = {}

    @contextmanager
    def joined(self, controller: Measured, name: str) -> Iterator[None]:
        """Report a controller for as long as the block lasts.

        Raises:
            ConfigurationError: the name is taken, or empty.
        """
        if not name or name in self._readers:
            raise ConfigurationError(f"feed = {name!r} is not allowed: expected a name that no other feed has")
        self._readers[name] = Reader(controller)
        try:
            yield
        finally:
            del self._readers[name]

    def snapshots(self) -> Iterator[tuple[str, Metrics]]:
        """Of every feed that answers."""
        for name, reader in list(self._readers.items()):
            snapshot = reader.read()
            if snapshot is not None:
                yield name, snapshot

    def tells_streams(self, snapshot: Metrics) -> bool:
        """Whether each stream has a series."""
        return len(snapshot.streams) <= self.streams_max
