"""``gapless export``: the data of a recording for other programs."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import inf
from pathlib import Path
from typing import BinaryIO, Final

import click

from gapless.cli.bar import progress_bar
from gapless.cli.endings import OneLineError
from gapless.cli.exit_codes import WRONG_USAGE
from gapless.cli.options import parse_streams
from gapless.controller.instants import instant
from gapless.controller.store import StoreError
from gapless.controller.store.export import Selection, exported
from gapless.controller.store.forms import FORMS, Form
from gapless.controller.store.reading import reading

_STDOUT: Final = Path("-")


class _Moment(click.ParamType[float]):
    """A point in time as RFC 3339 has it."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Check one value."""
        if isinstance(value, float):
            return value
        at = instant(str(value))
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
A recording that is going on may be exported, too: as it is at this moment."""
)
@click.argument("path", metavar="FILE.db", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(list(FORMS)), required=True, help="What to write.")
@click.option("--stream", "streams", multiple=True, metavar="CHANNEL:SYMBOL", help="Only these; repeatable.")
@click.option("--from", "begin", type=_Moment(), default=-inf, metavar="TIME", help="Of the venue; UTC where not said.")
@click.option("--to", "end", type=_Moment(), default=inf, metavar="TIME", help="Of the venue, inclusive.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, allow_dash=True),
    default=_STDOUT,
    metavar="FILE",
    help="Where to; by default stdout. A file appears when it is complete.",
)
def export(*, path: Path, form: Form, streams: tuple[str, ...], begin: float, end: float, output: Path) -> None:
    """Write the data of a recording as Parquet, CSV or JSON lines.

    Market data and trades, stream by stream, epoch by epoch, in the order of their ids; each once, however it came.
    """
    if begin > end:
        raise OneLineError("--from lies after --to", WRONG_USAGE)
    selection = Selection(streams=parse_streams(streams), begin=begin, end=end)
    if form == "parquet" and output == _STDOUT and sys.stdout is not None and sys.stdout.isatty():
        raise OneLineError("Parquet is not for a terminal: name a file with -o", WRONG_USAGE)
    try:
        with (
            progress_bar("exporting") as tell,
            reading(path) as connection,
            _written(output) as out,
            FORMS[form](out) as write,
        ):
            for events in exported(connection, selection, tell):
                write(events)
    except LookupError as error:
        raise OneLineError(f"{path}: {error.args[0]}") from None
    except StoreError as error:
        raise OneLineError(str(error)) from None


@contextmanager
def _written(output: Path) -> Iterator[BinaryIO]:
    """Stdout, or a file that takes its name when all is in it."""
    if output == _STDOUT:
        if sys.stdout is None:
            raise OneLineError("cannot write to stdout: it is closed")
        yield sys.stdout.buffer
        return
    part = output.with_name(f"{output.name}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(output)
    except OSError as error:
        raise OneLineError(f"cannot write {output}: {error.strerror}") from None
    finally:
        with suppress(OSError):
            part.unlink()
