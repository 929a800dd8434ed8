"""``gapless timeline``: a run as one picture."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final, TextIO

import click

from gapless.cli.endings import OneLineError
from gapless.cli.exit_codes import WRONG_USAGE
from gapless.diagrams.run import DrawingError, LineError, Run, form_of, picture, read_run

_STDIN: Final = Path("-")


@click.command(
    epilog="""\b
Examples:
  gapless watch ... --json --requests > night.jsonl
  gapless timeline night.jsonl -o night.svg
  gapless timeline night.jsonl -o night.png --title 'the night of the 5th'
  gapless watch ... --json --seconds 60 | gapless timeline - -o minute.svg

docs/timeline.md tells how to read the picture. Drawing needs matplotlib: pip install 'gapless[timeline]'"""
)
@click.argument("run_file", metavar="RUN.jsonl", type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="The picture; a name that ends with .svg or .png.",
)
@click.option("--title", metavar="TEXT", help="In the corner of the picture; by default the name of the run's file.")
def timeline(run_file: Path, output: Path, title: str | None) -> None:
    """Draw a run: the lines of gapless watch --json as one picture.

    States are on top, then one panel for each stream with sequence ids against time, gaps as holes that fill, and
    losses; attempts and REST requests are at the bottom. RUN.jsonl may be -, standard input.
    """
    try:
        form = form_of(output)
    except DrawingError as error:
        raise OneLineError(str(error), WRONG_USAGE) from None
    run = _read(run_file)
    named = "standard input" if run_file == _STDIN else run_file.name
    try:
        drawn = picture(run, form, named if title is None else title)
    except DrawingError as error:
        raise OneLineError(str(error)) from None
    try:
        output.write_bytes(drawn)
    except OSError as error:
        raise OneLineError(f"cannot write {output}: {error.strerror}") from None


def _stdin() -> Iterable[bytes]:
    stdin: TextIO | None = sys.stdin
    if stdin is None:
        raise OneLineError("cannot read standard input: it is closed")
    return stdin.buffer


def _read(run_file: Path) -> Run:
    try:
        if run_file == _STDIN:
            return read_run(_stdin())
        with run_file.open("rb") as lines:
            return read_run(lines)
    except LineError as error:
        raise OneLineError(f"{run_file}, {error}") from None
    except OSError as error:
        raise OneLineError(f"cannot read {run_file}: {error.strerror}") from None
