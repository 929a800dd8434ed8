"""``gapless report``: what is in a recording, and what is missing."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
import msgspec

from gapless.cli.bar import progress_bar
from gapless.cli.endings import OneLineError
from gapless.cli.exit_codes import FAILED
from gapless.controller.store import AccountReport, Lost, Refused, Report, SeriesReport, StoreError, report_of
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

\b
Orders and balances are counted; a snapshot stands for all before it, so that holes tell nothing. What the venue has
refused is shown with its last words.

A recording that is going on may be looked at, too. docs/recording.md tells what is in the file."""
)
@click.argument("path", metavar="FILE.db", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
def report(context: click.Context, *, path: Path, as_json: bool) -> None:
    """Say what is in a recording, and what is missing.

    Every stream that was asked for, epoch by epoch: first and last id, holes, what was reported lost, how much came
    live, as backfill and by polling, and the longest time without data.
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
    reports: list[SeriesReport | AccountReport] = [*found.series, *found.accounts]
    streams = {(each.channel, each.symbol) for each in reports}
    lines = [
        f"{path}: {data:,} data of {_count(len(streams), 'stream')}{f' of {found.venue}' if found.venue else ''}, "
        f"{_time(found.began_at)} to {_time(found.last_at)}, in {_count(found.runs, 'run')}"
        + (f" ({found.unfinished} did not end by themselves)" if found.unfinished else "")
    ]
    for each in found.series:
        lines += _series_lines(each)
    for account in found.accounts:
        lines += _account_lines(account)
    lines += [_refusal(each) for each in found.refused]
    if not found.is_sound:
        verdict = "BROKEN: ids are missing, and nothing explains it"
    elif any(each.lost for each in reports):
        verdict = "whole, but for what is reported lost"
    else:
        verdict = "whole"
    if found.is_sound and found.untellable:
        those = _count(found.untellable, "stream")
        verdict = verdict.replace("whole", f"whole, as far as ids tell ({those} without ids that tell what is missing)")
    return [*lines, verdict + (f"; nothing came of {_count(found.silent, 'stream')}" if found.silent else "")]


def _series_lines(each: SeriesReport) -> list[str]:
    name = f"{each.channel}:{each.symbol}{_where(each.epoch)}{f', part {each.part}' if each.part > 1 else ''}"
    ids = "no ids" if each.first_id is None else f"ids {each.first_id} to {each.last_id}"
    shares = {"live": each.live, "backfill": each.backfill, "poll": each.poll}
    lines = [f"{name}: nothing came"]
    if each.data:
        lines = [
            f"{name}: {each.data:,} data, {ids} ({each.ids or 'ids of an unknown kind'})",
            f"  {', '.join(f'{word} {100 * part / each.data:.1f} %' for word, part in shares.items())}",
        ]
    if each.freshness_worst_s is not None:
        lines.append(f"  longest without data: {each.freshness_worst_s:.3f} s, until {_time(each.freshness_worst_at)}")
    lines += _lost(each.lost)
    lines += _ranges("owed", [_range(*part) for part in each.still_owed])
    return lines + _ranges("MISSING", [_range(*part) for part in each.missing])


def _account_lines(each: AccountReport) -> list[str]:
    what = f"{_count(each.updates, 'update')} and {_count(each.snapshots, 'snapshot')}"
    when = f", {_time(each.first_at)} to {_time(each.last_at)}" if each.last_at is not None else ""
    return [f"{each.channel}:{each.symbol}{_where(each.epoch)}: {what}{when}", *_lost(each.lost)]


def _refusal(each: Refused) -> str:
    what = "" if each.what == "stream" else "a snapshot of "
    words = f"{each.reason}: {each.message}" if each.message else each.reason
    return f"refused: {what}{each.channel}:{each.symbol}, {each.times:,} x, last at {_time(each.last_at)} ({words})"


def _lost(lost: Sequence[Lost]) -> list[str]:
    return _ranges("lost", [f"{_range(part.start_seq, part.end_seq)} ({part.reason})" for part in lost])


def _ranges(what: str, texts: list[str]) -> list[str]:
    more = f" and {len(texts) - _SHOWN_MAX:,} more" if len(texts) > _SHOWN_MAX else ""
    return [f"  {what}: {', '.join(texts[:_SHOWN_MAX])}{more}"] if texts else []


def _range(start: int, end: int | None) -> str:
    if end is None:
        return f"from {start} to the end of the epoch"
    return str(start) if start == end else f"{start}..{end}"


def _where(epoch: str | None) -> str:
    return f" in {epoch}" if epoch else ""


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _time(unix_s: float | None) -> str:
    return "-" if unix_s is None else datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="seconds")[:-6] + "Z"
