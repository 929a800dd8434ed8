"""``gapless report``: what is in a recording, and what is missing."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
import msgspec

from gapless.cli.bar import progress_bar
from gapless.cli.endings import OneLineError
from gapless.cli.exit_codes import FAILED
from gapless.controller.store import Report, SeriesReport, StoreError, report_of
from gapless.controller.store.reading import reading

_SHOWN_MAX: Final = 10
"""Ranges a person is shown of each kind."""


@click.command(
    epilog="""\b
Examples:
  gapless report feed.db
  gapless report feed.db --json | jq '.series[] | {symbol, missing}'

\b
What it says of the ids of a stream:
  lost     the file says they will never come, and why
  owed     not here yet; the next gapless record with this file fetches them, or reports them lost
  MISSING  nothing explains it. There must be none: then it ends with 1

A recording that is going on may be looked at, too. docs/recording.md tells what is in the file."""
)
@click.argument("path", metavar="FILE.db", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
def report(context: click.Context, *, path: Path, as_json: bool) -> None:
    """Say what is in a recording, and what is missing.

    Per stream and epoch: first and last id, holes, what was reported lost, how much came live, as backfill and by
    polling, and the longest time without data.
    """
    try:
        with progress_bar("reading") as tell, reading(path) as connection:
            found = report_of(connection, tell)
    except StoreError as error:
        raise OneLineError(str(error)) from None
    click.echo(msgspec.json.encode(found).decode() if as_json else "\n".join(_lines(path, found)))
    if not found.is_sound:
        context.exit(FAILED)


def _lines(path: Path, found: Report) -> list[str]:
    data = sum(each.data for each in found.series)
    streams = {(each.channel, each.symbol) for each in found.series}
    lines = [
        f"{path}: {data:,} data of {len(streams)} streams{f' of {found.venue}' if found.venue else ''}, "
        f"{_time(found.began_at)} to {_time(found.last_at)}, in {found.runs} runs"
        + (f" ({found.unfinished} did not end by themselves)" if found.unfinished else "")
    ]
    for each in found.series:
        lines += _series_lines(each)
    if not found.is_sound:
        verdict = "BROKEN: ids are missing, and nothing explains it"
    elif any(each.lost for each in found.series):
        verdict = "whole, but for what is reported lost"
    else:
        verdict = "whole"
    return [*lines, verdict]


def _series_lines(each: SeriesReport) -> list[str]:
    where = f" in {each.epoch}" if each.epoch else ""
    ids = "no ids" if each.first_id is None else f"ids {each.first_id} to {each.last_id}"
    shares = {"live": each.live, "backfill": each.backfill, "poll": each.poll}
    lines = [
        f"{each.channel}:{each.symbol}{where}: {each.data:,} data, {ids} ({each.ids or 'ids of an unknown kind'})",
        f"  {', '.join(f'{name} {_share(part, each.data)}' for name, part in shares.items())}",
    ]
    if each.freshness_worst_s is not None:
        lines.append(f"  longest without data: {each.freshness_worst_s:.3f} s, until {_time(each.freshness_worst_at)}")
    lost = [f"{_range(part.start_seq, part.end_seq)} ({part.reason})" for part in each.lost]
    lines += _ranges("lost", lost)
    lines += _ranges("owed", [_range(*part) for part in each.still_owed])
    return lines + _ranges("MISSING", [_range(*part) for part in each.missing])


def _ranges(what: str, texts: list[str]) -> list[str]:
    more = f" and {len(texts) - _SHOWN_MAX:,} more" if len(texts) > _SHOWN_MAX else ""
    return [f"  {what}: {', '.join(texts[:_SHOWN_MAX])}{more}"] if texts else []


def _range(start: int, end: int | None) -> str:
    if end is None:
        return f"from {start} to the end of the epoch"
    return str(start) if start == end else f"{start}..{end}"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _time(unix_s: float | None) -> str:
    return "-" if unix_s is None else datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="seconds")[:-6] + "Z"
