"""The controllers that one exporter reports, each under a name; and reading them from any thread."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Final, Protocol

import trio
from loguru import logger

from gapless.controller.errors import ConfigurationError, ControllerEndedError
from gapless.controller.metrics.catalogue import UP, Kind, Metric, Point
from gapless.controller.metrics.histogram import Histograms, HistogramSnapshot
from gapless.controller.metrics.snapshot import Metrics
from gapless.controller.metrics.totals import NOTHING, Totals

STREAMS_MAX: Final = 100
"""Streams of a feed up to which each has its own series: a series costs a monitoring system some kilobytes for ever."""
NAMES_KEPT_MAX: Final = 100
"""Names whose counters go on being told when nobody is reported under them any more, some ten kilobytes each. An app
has a few; one that makes up new names must not fill the memory: the name that was left first is forgotten."""
_ANSWER_S: Final = 1.0
"""Seconds that a thread waits for those of the controllers, for all of them together. An event loop that does not
answer for so long has other troubles, and whoever is waited for may be waiting for us: an SDK that is shut down in that
loop collects once more, elsewhere."""


class Measured(Protocol):
    """What an exporter needs of a controller."""

    @property
    def histograms(self) -> Histograms:
        """Where durations are recorded."""
        ...

    @property
    def trio_token(self) -> trio.lowlevel.TrioToken:
        """Of the trio run in whose thread it is asked."""
        ...

    def metrics(self, *, streams_max: int | None = None) -> Metrics:
        """Everything there is to know now; of single streams, where there are no more than that.

        Raises:
            ControllerEndedError: it has ended.
        """
        ...


class Reader:
    """Reads one controller in its own thread, for any other one.

    Args:
        streams_max: of how many streams each is told of.
    """

    def __init__(self, controller: Measured, streams_max: int) -> None:
        self._controller = controller
        self._streams_max = streams_max
        self._last: Metrics | None = None
        self._left = False
        self.has_told = False
        """Whether the app knows that single streams are not told of."""

    def ask(self, *, leaving: bool = False) -> "Future[Metrics | None]":
        """A snapshot, as soon as the controller's thread gets round to it; in that thread at once. None: it has ended.

        Args:
            leaving: it is the last one; whoever asks later gets the same.
        """
        answer: Future[Metrics | None] = Future()
        home = self._controller.trio_token
        if trio.lowlevel.in_trio_run() and trio.lowlevel.current_trio_token() is home:
            self._answer(answer, leaving)
            return answer
        try:
            home.run_sync_soon(self._answer, answer, leaving)
        except trio.RunFinishedError:
            answer.set_result(None)
        return answer

    def leave(self) -> Metrics | None:
        """The last snapshot that there is; None: it has never answered."""
        wait([self.ask(leaving=True)], timeout=_ANSWER_S)
        self._left = True
        return self._last

    def _answer(self, answer: "Future[Metrics | None]", leaving: bool) -> None:
        if not answer.set_running_or_notify_cancel():
            return  # Who asked waits no more.
        try:
            answer.set_result(self._take())
        except Exception as error:  # noqa: BLE001  # whoever asked gets it; here it would end the run
            answer.set_exception(error)
        self._left = self._left or leaving

    def _take(self) -> Metrics | None:
        if not self._left:
            try:
                self._last = self._controller.metrics(streams_max=self._streams_max)
            except ControllerEndedError:
                return None
        return self._last


def _results(asked: "list[Future[Metrics | None]]") -> list[Metrics | None]:
    """What was answered within the time that all of them have together."""
    wait(asked, timeout=_ANSWER_S)
    return [None if answer.cancel() else answer.result() for answer in asked]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What there is to tell under one name."""

    feed: str
    is_joined: bool
    """Whether a controller is reported; else there are the counters of those that were."""
    snapshot: Metrics | None
    """None: no controller answers."""
    before: Totals

    def points(self, metric: Metric) -> Iterable[Point]:
        """Of all but histograms."""
        if metric is UP:
            return [((), float(self.snapshot is not None))] if self.is_joined else []
        if self._says_nothing:
            return []
        if metric.kind is Kind.COUNTER:
            return self.before.points(metric, self.snapshot)
        return [] if self.snapshot is None else metric.read(self.snapshot)

    def histogram(self, metric: Metric) -> HistogramSnapshot | None:
        """Of a histogram; None: there is nothing to tell."""
        return None if self._says_nothing else self.before.histogram(metric, self.snapshot)

    @property
    def _says_nothing(self) -> bool:
        # Counters without the part of the one that does not answer would go down.
        return self.is_joined and self.snapshot is None


class Feeds:
    """Who is reported, by name; and what was counted under each name before.

    Args:
        streams_max: a feed with more streams has no series of its own for each of them.
    """

    def __init__(self, streams_max: int) -> None:
        self._streams_max: Final = streams_max
        self._lock = Lock()
        """Guards both tables: between the two changes of a feed that leaves, it would count twice or not at all."""
        self._readers: dict[str, Reader] = {}
        self._before: dict[str, Totals] = {}

    @contextmanager
    def joined(self, controller: Measured, name: str) -> Iterator[None]:
        """Report a controller for as long as the block lasts; its counters go on being told afterwards.

        Raises:
            ConfigurationError: the name is taken, or empty.
        """
        reader = Reader(controller, self._streams_max)
        with self._lock:
            if not name or name in self._readers:
                raise ConfigurationError(f"feed = {name!r} is not allowed: expected a name that no other feed has")
            self._readers[name] = reader
        try:
            yield
        finally:
            last = reader.leave()
            with self._lock:
                del self._readers[name]
                before = self._before.pop(name, NOTHING)
                self._before[name] = before if last is None else before.plus(last)
                for forgotten in [each for each in self._before if each not in self._readers][:-NAMES_KEPT_MAX]:
                    del self._before[forgotten]

    def reports(self) -> list[Report]:
        """Of every name, within a second; those who do not answer until then hold nobody else up."""
        with self._lock:
            readers, before = dict(self._readers), dict(self._before)
        snapshots = _results([reader.ask() for reader in readers.values()])
        for (name, reader), snapshot in zip(readers.items(), snapshots, strict=True):
            self._tell_of_many(name, reader, snapshot)
        answers = dict(zip(readers, snapshots, strict=True))
        return [
            Report(feed=name, is_joined=name in readers, snapshot=answers.get(name), before=before.get(name, NOTHING))
            for name in {**before, **readers}
        ]

    def _tell_of_many(self, name: str, reader: Reader, snapshot: Metrics | None) -> None:
        if snapshot is None or reader.has_told or snapshot.data.streams <= self._streams_max:
            return
        reader.has_told = True
        logger.warning(
            "feed {}: {} streams are more than the {} (streams_max) that have a series each; only the worst is told of",
            name,
            snapshot.data.streams,
            self._streams_max,
        )
