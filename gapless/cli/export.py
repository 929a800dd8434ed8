"""``gapless export``: the data of a recording for other programs."""

import sqlite3
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from math import inf
from pathlib import Path

import click

from gapless.cli.bar import progress_bar
from gapless.cli.destination import STDOUT, ended_by_signals, written
from gapless.cli.endings import OneLineError
from gapless.cli.exit_codes import WRONG_USAGE
from gapless.cli.options import parse_streams
from gapless.controller.instants import instant
from gapless.controller.store import StoreError
from gapless.controller.store.export import Selection, exported
from gapless.controller.store.forms import FORMS, Form, Recorded
from gapless.controller.store.reading import account_streams_in, reading
from gapless.controller.stream import Stream


class _Moment(click.ParamType[float]):
    """A point in time as RFC 3339 has it."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Check one value."""
        if isinstance(value, float):
            return value
        at = instant(str(value).upper())  # RFC 3339 has t and z, too
        if at == -inf:
            self.fail(f"expected RFC 3339, such as 2026-01-01 or 2026-01-01T09:30:00Z, got {value!r}", param, ctx)
        return at


@click.command(
    epilog="""\b
Examples:
  gapless export feed.db --format parquet -o feed.parquet
  gapless export feed.db --format csv --stream trade:BTCUSDT --from 2026-01-01 --to 2026-01-01T12:00:00Z > day.csv
  gapless export feed.db --format jsonl | jq .price

\b
Parquet needs pyarrow: pip install 'gapless[parquet]'.
The columns are the same in all three, docs/recording.md describes them; a line of jsonl is one of gapless watch --json.
Orders and balances have no columns: name their streams, such as --stream 'orders:*', and take jsonl.
TIME is the venue's, or when the datum was received where the venue says none. Without a zone it is UTC, and a day alone
is its midnight: --from 2026-01-01 --to 2026-01-02 is one day, and midnight after it.
A recording that is going on may be exported, too: as it is at this moment."""
)
@click.argument("path", metavar="FILE.db", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(list(FORMS)), required=True, help="What to write.")
@click.option("--stream", "streams", multiple=True, metavar="CHANNEL:SYMBOL", help="Only these; repeatable.")
@click.option("--from", "begin", type=_Moment(), default=-inf, metavar="TIME", help="Not before this time.")
@click.option(
    "--to", "end", type=_Moment(), default=inf, metavar="TIME", help="Not after it; 2026-01-01 is 00:00 of that day."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, allow_dash=True),
    default=STDOUT,
    metavar="FILE",
    help="Where to; by default stdout. A file appears when it is complete.",
)
def export(*, path: Path, form: Form, streams: tuple[str, ...], begin: float, end: float, output: Path) -> None:
    """Write the data of a recording as Parquet, CSV or JSON lines.

    Market data and trades, stream by stream, epoch by epoch, in the order of their ids; each once, however it came.
    Orders and balances where they are asked for, in the order they came.
    """
    if begin > end:
        raise OneLineError("--from lies after --to", WRONG_USAGE)
    selection = Selection(streams=parse_streams(streams), begin=begin, end=end)
    if form == "parquet" and output == STDOUT and sys.stdout is not None and sys.stdout.isatty():
        raise OneLineError("Parquet is not for a terminal: name a file with -o", WRONG_USAGE)
    count = 0
    try:
        # The recording is left before the file takes its name: it may turn out then that it could not be read whole.
        with (
            ended_by_signals(),
            progress_bar("exporting") as tell,
            written(output, path) as out,
            reading(path) as connection,
        ):
            left_out = _left_out(connection, form, selection.streams)
            parts = _selected(connection, selection, path, tell)
            with FORMS[form](out) as write:
                for events in parts:
                    count += len(events)
                    write(events)
    except StoreError as error:
        raise OneLineError(str(error)) from None
    if left_out:
        how = " ".join(f"--stream '{each}'" for each in left_out)
        click.echo(
            f"left out: {', '.join(map(str, left_out))} (no market data); --format jsonl {how} has them", err=True
        )
    if not count:
        click.echo("nothing was exported: the recording holds none of it", err=True)


def _left_out(connection: sqlite3.Connection, form: Form, streams: Collection[Stream]) -> list[Stream]:
    """The streams of an account that nobody has named; named, they are only for what needs no columns."""
    accounts = account_streams_in(connection)
    named = [each for each in accounts if each in streams]
    if named and form != "jsonl":
        raise OneLineError(f"{named[0]} is no market data and has no columns: --format jsonl takes it", WRONG_USAGE)
    return [] if streams else accounts


def _selected(
    connection: sqlite3.Connection, selection: Selection, path: Path, tell: Callable[[int, int], None]
) -> Iterator[Sequence[Recorded]]:
    try:
        return exported(connection, selection, tell)
    except LookupError as error:
        raise OneLineError(f"{path}: {error.args[0]}") from None
