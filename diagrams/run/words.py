"""What a picture of a run says in words. Colour and place tell the same."""

from typing import Final

from gapless.diagrams.run.lines import Source
from gapless.diagrams.run.model import Answer, Dial, Run, StreamRun

NAME_MAX: Final = 44
"""Letters of a stream's name that fit over its panel."""
_KINDS_MAX: Final = 4
"""Kinds of unknown lines that are named."""


def plain(text: str, most: int = NAME_MAX) -> str:
    """Text of a peer: only what can be printed, cut to ``most`` letters."""
    clean = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return clean if len(clean) <= most else f"{clean[: most - 1]}…"


def counted(number: int, one: str, many: str | None = None) -> str:
    """``1 gap``, ``2,000 gaps``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def verdict(run: Run) -> str:
    """The one line that somebody in a hurry reads."""
    lost, missing = sum(each.lost for each in run.streams), sum(each.missing for each in run.streams)
    if not run.streams:
        return "No data" if run.transitions else "An empty run: no line tells of anything"
    if missing:
        tail = f", {counted(lost, 'id')} lost" if lost else ""
        return f"{counted(missing, 'id')} still missing at the end{tail}"
    if lost:
        return f"{counted(lost, 'id')} lost and reported, everything else delivered"
    if any(loss.last is None for each in run.streams for stretch in each.stretches for loss in stretch.losses):
        return "Whole, but for what the venue had not sent when it restarted"
    return "Whole: nothing is missing, nothing was lost"


def totals(run: Run) -> str:
    """The line below: how long, how much, which way."""
    filled, lost = sum(each.filled for each in run.streams), sum(each.lost for each in run.streams)
    parts = [
        f"{run.length_s:,.1f} s",
        counted(len(run.streams), "stream"),
        f"{run.total():,} delivered ({ways(run)})",
        f"{counted(sum(each.gaps for each in run.streams), 'gap')}: {counted(filled, 'id')} filled, {lost:,} lost",
    ]
    attempts = sum(each.dial is Dial.ATTEMPT for each in run.generations)
    if attempts:
        parts.append(counted(attempts, "attempt"))
    if run.requests is not None:
        limited = sum(each.answer is Answer.LIMITED for each in run.requests)
        parts.append(counted(len(run.requests), "REST request") + (f", {limited:,} of them 429" if limited else ""))
    return "  ·  ".join(parts)


def ways(of: Run | StreamRun) -> str:
    """How many data came in which way."""
    count = of.total if isinstance(of, Run) else of.delivered
    named = ((Source.LIVE, "live"), (Source.BACKFILL, "backfilled"), (Source.POLL, "polled"))
    return ", ".join(f"{count(source):,} {word}" for source, word in named if count(source)) or "none"


def stream_figures(stream: StreamRun) -> list[str]:
    """The lines beside a stream's panel."""
    named = ((Source.LIVE, "live"), (Source.BACKFILL, "backfilled"), (Source.POLL, "polled"))
    lines = [f"{stream.delivered():,} delivered"]
    lines += [f"   {stream.delivered(each):,} {word}" for each, word in named if stream.delivered(each)]
    if stream.gaps:
        lines.append(f"{counted(stream.gaps, 'gap')}, {stream.filled:,} filled")
    lines.append(f"{stream.lost:,} lost" if stream.lost else "none lost")
    if stream.missing:
        lines.append(f"{stream.missing:,} still missing")
    if len(stream.stretches) > 1:
        lines.append(counted(len(stream.stretches) - 1, "reset"))
    if stream.rejected:
        lines.append(f"rejected: {plain(stream.rejected[-1][1], 20)}")
    return lines


def notes(run: Run, *, drawn: int, as_image: bool) -> list[str]:
    """What the picture leaves out or does otherwise, one sentence each."""
    said: list[str] = []
    rest = run.streams[drawn:]
    if rest:
        names = ", ".join(plain(each.name, 24) for each in rest[:4]) + (", …" if len(rest) > 4 else "")
        said.append(
            f"The busiest {drawn} of {len(run.streams)} streams are drawn; the totals count all. Not drawn: {names}."
        )
    if as_image:
        said.append("So many points that they are drawn as an image within the SVG; none is left out.")
    if run.clock_set_back:
        said.append(
            f"The clock of this machine was set back {counted(run.clock_set_back, 'time')}; times are as written."
        )
    if run.unknown:
        kinds = [f"{plain(kind, 24)} ({count:,})" for kind, count in sorted(run.unknown.items())]
        more = ", …" if len(kinds) > _KINDS_MAX else ""
        said.append(f"Lines of other kinds, left out: {', '.join(kinds[:_KINDS_MAX])}{more}.")
    if run.cut_off:
        said.append("The last line is cut off, and left out.")
    return said
