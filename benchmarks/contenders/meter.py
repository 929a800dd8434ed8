"""What a contender is told, and how it is measured. Standard library only: peers' environments import it, too."""

import faulthandler
import json
import os
import resource
import sys
import threading
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.frames import age_us, symbols

NEVER: Final = 1 << 62
_RUN_MAX_S: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class Task:
    """What to measure: the harness says it as the one argument of the process."""

    ws_url: str
    rest_url: str
    symbols: int
    count: int
    warm: int
    timed: bool
    certificate: str
    deflate: bool
    large: bool
    cpu: int | None
    options: dict[str, Any]

    @property
    def names(self) -> list[str]:
        """The feed's symbols."""
        return symbols(self.symbols)


class Meter:
    """Counts what the app got. Contenders count themselves and call :meth:`reached` at the thresholds.

    A contender keeps ``n`` and ``next_at = meter.next_at``; once ``n >= next_at`` it says ``next_at =
    meter.reached(n)``: an integer comparison per message or batch, the same for all.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.next_at = task.warm
        self.done = threading.Event()
        self.on_done: Callable[[], object] = lambda: None
        """Called when all has come: how a contender's loop is ended from a callback."""
        self.notes: dict[str, Any] = {}
        self.more: dict[str, float] = {}
        """Figures of a contender's own."""
        self._ages = array("d")
        self._marks: list[tuple[int, float, float]] = []
        self.timed = task.timed

    def reached(self, count: int) -> int:
        """``count`` messages have come in; returns the next count to be told of."""
        self._marks.append((count, time.monotonic(), time.process_time()))
        if count < self.task.count:
            self._ages = array("d")
            return self.task.count
        if not self.done.is_set():
            self.done.set()
            self.on_done()
        return NEVER

    def sample(self, volume_24h: float) -> None:
        """One message is with the app; its stamp says since when it has been under way."""
        self._ages.append(age_us(volume_24h))

    def report(self) -> dict[str, Any]:
        """The figures."""
        (first, begun_at, begun_cpu), (last, ended_at, ended_cpu) = self._marks[0], self._marks[-1]
        messages = last - first
        ages = sorted(self._ages)
        return {
            "messages": messages,
            "seconds": ended_at - begun_at,
            "rate_per_s": messages / (ended_at - begun_at),
            "cpu_us": (ended_cpu - begun_cpu) / messages * 1e6,
            "p50_us": ages[len(ages) // 2] if ages else None,
            "p99_us": ages[len(ages) * 99 // 100] if ages else None,
            "rss_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
            **self.more,
            **({"notes": self.notes} if self.notes else {}),
        }


def pin(cpu: int | None) -> None:
    """Stay on one processor, the threads to come included; where the system cannot, go anywhere."""
    if cpu is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {cpu})


def end_with_parent() -> None:
    """End when standard input does: nothing outlives the harness, however that ended."""

    def watch() -> None:
        while os.read(0, 1):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def run(contender: Callable[[Task, Meter], None]) -> None:
    """Measure one contender as the argument of the process says, and print the figures as one line of JSON."""
    task = Task(**json.loads(sys.argv[1]))
    pin(task.cpu)
    # One that hangs says where, and is left out.
    faulthandler.dump_traceback_later(_RUN_MAX_S, exit=True)
    end_with_parent()
    meter = Meter(task)
    contender(task, meter)
    print(json.dumps(meter.report()), flush=True)
    # Some peers leave threads behind that are not daemons.
    os._exit(0)
