"""What recording costs: the event loop's lag at a given rate, and rows per second beside plain ``sqlite3``.

Two measurements, each printed as a table and, with ``--json``, as one object.

* ``lag``: the measuring server, a process of its own, sends ``--rate`` messages a second on ``--streams`` streams; a
  controller (``transport="wire"``) is recorded into a file. Every 5 ms a task asks how much later than it wanted it was
  woken. The same without a recorder, whose app only takes the batches, is the comparison.
* ``rows``: the same batches, once through the recorder's own way (events to rows, names, cursor, one transaction each),
  once as tuples made beforehand through ``executemany`` of plain ``sqlite3`` into the same table, one transaction each.
  They take turns; medians are compared.

    python -m benchmarks.recording                 60 s at 10,000 messages/s, and rows
    python -m benchmarks.recording --quick         5 s: a look, no result
"""

import json
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias

import click
import trio

from benchmarks.frames import symbols
from benchmarks.processes import processors, server
from gapless.controller import (
    AnyEvent,
    ConnectionController,
    Cursor,
    MarketData,
    NetworkConfig,
    Source,
    Stream,
    StreamCursor,
    open_controller,
)
from gapless.controller.store import open_recording
from gapless.controller.store.database import opened
from gapless.controller.store.rows import DATA_COLUMNS

_TICK_S: Final = 0.005
_SETTLE_S: Final = 1.0
"""Dialling, subscribing and the first data are not measured."""
_BATCH_ROWS: Final = 750
"""What 75 ms at 10,000/s amount to."""


# -- lag ---------------------------------------------------------------------------------------------------------------


async def _feel(lags_s: list[float]) -> None:
    while True:
        due = trio.current_time() + _TICK_S
        await trio.sleep_until(due)
        lags_s.append(trio.current_time() - due)


async def _take(controller: ConnectionController) -> None:
    async for batch in controller.batches():
        for event in batch:
            if type(event) is MarketData:
                _ = event.price


async def _idle(seconds: float) -> dict[str, Any]:
    """What the machine itself does to a loop that has nothing else to do."""
    lags_s: list[float] = []
    with trio.move_on_after(seconds):
        await _feel(lags_s)
    return _percentiles(lags_s)


async def _lag(
    addresses: dict[str, str], *, rate: int, streams: int, seconds: float, path: Path | None
) -> dict[str, Any]:
    """Figures of one run; ``path`` None: without a recorder."""
    session = f"recording-{time.monotonic_ns()}"
    query = f"symbols={streams}&rate={rate}&count={int(rate * (seconds + 10))}&burst=10&session_id={session}"
    lags_s: list[float] = []
    async with (
        nullcontext() if path is None else open_recording(path) as recording,
        open_controller(
            ws_url=f"{addresses['ws_url']}?{query}",
            rest_url=addresses["rest_url"],
            streams=[Stream("ticker", name) for name in symbols(streams)],
            config=NetworkConfig(transport="wire"),
            session_id=session,
        ) as controller,
        trio.open_nursery() as nursery,
    ):
        if recording is None:
            nursery.start_soon(_take, controller)
        else:
            nursery.start_soon(recording.run, controller)
        await trio.sleep(_SETTLE_S)
        before, cpu, began = controller.stats.live, time.process_time(), time.monotonic()
        nursery.start_soon(_feel, lags_s)
        await trio.sleep(seconds)
        took_s = time.monotonic() - began
        figures = {
            "messages_per_s": round((controller.stats.live - before) / took_s),
            "cpu_percent": round(100 * (time.process_time() - cpu) / took_s, 1),
            "gaps": controller.stats.gaps_found,
            "written": None if recording is None else recording.stats.events,
            "batches": None if recording is None else recording.stats.batches,
            **_percentiles(lags_s),
        }
        nursery.cancel_scope.cancel()
    return figures


def _percentiles(lags_s: Sequence[float]) -> dict[str, float]:
    cuts = quantiles(lags_s, n=1_000)
    found = {"p50": cuts[499], "p99": cuts[989], "p999": cuts[998], "max": max(lags_s)}
    return {f"lag_{name}_ms": round(1_000 * value, 2) for name, value in found.items()}


Batches: TypeAlias = Sequence[tuple[list[AnyEvent], Cursor]]
Took: TypeAlias = tuple[float, float]
"""Seconds of the clock, and of the processor: on a machine that does something else look at the latter."""


def _now() -> Took:
    return time.perf_counter(), time.process_time()


def _since(began: Took) -> Took:
    at = _now()
    return at[0] - began[0], at[1] - began[1]


# -- rows --------------------------------------------------------------------------------------------------------------


def _batches(count: int, streams: int) -> Iterator[tuple[list[AnyEvent], Cursor]]:
    names, number = symbols(streams), 0
    for _ in range(count):
        events: list[AnyEvent] = []
        for _ in range(_BATCH_ROWS):
            which, sequence_id, at = number % streams, number // streams + 1, 1.8e9 + number / 1e4
            stamp = f"2026-01-01T00:00:{number // 10_000 % 60:02}.{number % 10_000 // 10:03}Z"
            figures = (50_000.0 + number % 997, 49_999.0, 50_001.0, 1234.5, at, 1)
            events.append(MarketData("ticker", names[which], sequence_id, "e-1", Source.LIVE, stamp, *figures))
            number += 1
        ends = [
            StreamCursor(channel="ticker", symbol=name, epoch="e-1", next_id=number // streams + 1) for name in names
        ]
        yield events, Cursor(streams=ends, epoch="e-1")


def _recorded(path: Path, batches: Batches) -> Took:
    with opened(path, sync="normal", venue=None, started_at=0.0) as database:
        began = _now()
        for events, position in batches:
            database.write(database.rows(events, position), 0.0)
        return _since(began)


def _plain(path: Path, batches: Batches) -> Took:
    with opened(path, sync="normal", venue=None, started_at=0.0):
        pass
    numbers: dict[str, int] = {}
    rows: list[list[tuple[object, ...]]] = []
    for events, _ in batches:
        rows.append([])
        for each in events:
            assert isinstance(each, MarketData)
            series = numbers.setdefault(each.symbol, len(numbers) + 1)
            figures = (each.price, each.bid, each.ask, each.volume_24h, each.received_at, each.generation)
            rows[-1].append((series, each.sequence_id, None, 0, each.timestamp, *figures))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = NORMAL")
        insert = f"INSERT INTO data ({', '.join(DATA_COLUMNS)}) VALUES ({', '.join('?' * len(DATA_COLUMNS))})"  # noqa: S608
        began = _now()
        for part in rows:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(insert, part)
            connection.execute("COMMIT")
        return _since(began)


def _rows(folder: Path, *, count: int, streams: int, repeats: int) -> dict[str, Any]:
    batches = list(_batches(count, streams))
    ways: dict[str, Callable[[Path, Batches], Took]] = {"recorder": _recorded, "plain": _plain}
    rates: dict[str, list[int]] = {name: [] for name in ways}
    cpu_us: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats):
        for name, run in ways.items():
            took_s, busy_s = run(folder / f"{name}-{turn}.db", batches)
            rates[name].append(round(count * _BATCH_ROWS / took_s))
            cpu_us[name].append(round(1e6 * busy_s / count / _BATCH_ROWS, 2))
    return {
        "rows_per_s": rates,
        "cpu_us_per_row": cpu_us,
        "batch_rows": _BATCH_ROWS,
        "share": round(median(rates["recorder"]) / median(rates["plain"]), 3),
        "share_by_cpu": round(median(cpu_us["plain"]) / median(cpu_us["recorder"]), 3),
    }


# -- the command -------------------------------------------------------------------------------------------------------


@click.command()
@click.option("--rate", default=10_000, show_default=True, help="Messages per second.")
@click.option("--streams", default=50, show_default=True, help="Streams they belong to.")
@click.option("--seconds", default=60.0, show_default=True, help="Of each run.")
@click.option("--repeats", default=5, show_default=True, help="Turns of the rows.")
@click.option("--quick", is_flag=True, help="5 seconds, fewer rows: a look, no result.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where the files are made; by default a temporary one.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def main(
    *, rate: int, streams: int, seconds: float, repeats: int, quick: bool, folder: Path | None, as_json: bool
) -> None:
    """Measure what recording costs: the event loop's lag, and rows per second beside plain sqlite3."""
    if quick:
        seconds, repeats = min(seconds, 5.0), min(repeats, 2)
    with TemporaryDirectory(dir=folder) as made, server(cpu=processors()[0]) as addresses:
        results: dict[str, Any] = {"idle": trio.run(_idle, min(seconds, 10.0))}
        click.echo(f"idle: {results['idle']}", file=sys.stderr if as_json else sys.stdout)
        for name, path in {"without": None, "recording": Path(made, "lag.db")}.items():
            results[name] = trio.run(partial(_lag, addresses, rate=rate, streams=streams, seconds=seconds, path=path))
            click.echo(f"{name}: {results[name]}", file=sys.stderr if as_json else sys.stdout)
        rows = _rows(Path(made), count=40 if quick else 400, streams=streams, repeats=repeats)
        click.echo(f"rows: {rows}", file=sys.stderr if as_json else sys.stdout)
        results["rows"] = rows
    if as_json:
        click.echo(json.dumps(results))


if __name__ == "__main__":
    main()
