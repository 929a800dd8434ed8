"""``gapless torture``: seeded worlds in which everything goes wrong, in virtual time."""

import os
import re
import shlex
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import click
import msgspec
from click.core import ParameterSource
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from gapless.cli.endings import OneLineError
from gapless.cli.exit_codes import INTERRUPTED, WRONG_USAGE
from gapless.cli.options import assignments
from gapless.controller import ConfigurationError, NetworkConfig
from gapless.diagrams.run import DrawingError, form_of, read_run, render
from gapless.simulator.torture.catalogue import FAULTS
from gapless.simulator.torture.outcome import Outcome
from gapless.simulator.torture.plan import Terms, draw
from gapless.simulator.torture.pool import run_seeds
from gapless.simulator.torture.run import run_seed
from gapless.simulator.torture.tape import Tape

_LINE_EVERY_S: Final = 10.0
"""Where there is no terminal: how often a line tells how far it is."""


class _Seeds(click.ParamType[range]):
    """``A:B``: from A up to but not including B; or one number."""

    name = "A:B"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> range:
        """Check one value."""
        if isinstance(value, range):
            return value
        match = re.fullmatch(r"([0-9]{1,15})(?::([0-9]{1,15}))?", str(value), re.ASCII)
        if match is None:
            self.fail(
                f"expected A:B or one number, of up to 15 digits each and none negative, got {value!r}", param, ctx
            )
        first, end = int(match[1]), int(match[2] or int(match[1]) + 1)
        if end <= first:
            self.fail(f"expected A:B with A below B, got {value!r}", param, ctx)
        return range(first, end)


@click.command(
    epilog="""\b
Examples:
  gapless torture                                     twenty quarters of an hour
  gapless torture --seeds 0:200 --hours 1 --rate 0.2 --set ws_idle_timeout=60
  gapless torture --faults black_hole,restart --seeds 0:50
  gapless torture --replay 17                         everything that happens in the world of seed 17
  gapless torture --replay 17 --timeline 17.svg       the same, and a picture of it"""
)
@click.option("--seeds", type=_Seeds(), default="0:20", show_default=True, metavar="A:B", help="Seeds A to B - 1.")
@click.option("--hours", type=float, default=0.25, show_default=True, help="Virtual hours of each world.")
@click.option(
    "--rate", type=float, default=2.0, show_default=True, metavar="MSG_PER_S", help="Market data issued per second."
)
@click.option("--faults", metavar="LIST", help="Only these classes, separated by commas; default: all.")
@click.option("--list-faults", is_flag=True, help="Print every fault class and what it does, and end.")
@click.option("--set", "texts", multiple=True, metavar="FIELD=VALUE", help="A setting that no seed may choose.")
@click.option("--jobs", type=click.IntRange(1, 256), help="Processes; by default one for each processor.")
@click.option("--replay", type=click.IntRange(min=0), metavar="SEED", help="Run one seed and print its whole story.")
@click.option(
    "--timeline", type=click.Path(path_type=Path), metavar="FILE", help="With --replay: draw it; .svg or .png."
)
@click.option("--json", "json_wanted", is_flag=True, help="The last line of stdout is a JSON object.")
@click.pass_context
def torture(
    context: click.Context,
    *,
    seeds: range,
    hours: float,
    rate: float,
    faults: str | None,
    list_faults: bool,
    texts: tuple[str, ...],
    jobs: int | None,
    replay: int | None,
    timeline: Path | None,
    json_wanted: bool,
) -> None:
    """Let everything go wrong in seeded worlds, and hold the controller to its contract.

    Each seed is a world of its own on a virtual network: an exchange, a client, the unmodified stack between them, and
    faults, alone and overlapping. An oracle with books of its own watches every promise. The same seed is the same
    world, to the byte. Exit code 1: a promise was broken; the seed, the promise and the last transitions are printed.
    """
    if list_faults:
        for each in FAULTS.values():
            click.echo(f"{each.name:<24} {each.what}")
        return
    _check_together(context, replay, timeline)
    terms = _terms(hours, rate, faults, texts)
    again = _again(context)
    total = Total(again=again)
    try:
        if replay is not None:
            _replay(replay, terms, total, timeline)
        else:
            workers = min(jobs or len(os.sched_getaffinity(0)), len(seeds))
            with _progress(len(seeds)) as progress:
                for outcome in run_seeds(seeds, terms, workers):
                    total.add(outcome)
                    progress.advance(total)
                    if not outcome.ok:
                        progress.say(_failure_text(outcome, again))
    except KeyboardInterrupt:
        _finish(total, json_wanted=json_wanted)
        raise OneLineError(f"interrupted after {total.seeds} of {len(seeds)} seeds", INTERRUPTED) from None
    except BrokenProcessPool:
        _finish(total, json_wanted=json_wanted)
        raise OneLineError(f"a process was killed after {total.seeds} of {len(seeds)} seeds") from None
    _finish(total, json_wanted=json_wanted)


def _check_together(context: click.Context, replay: int | None, timeline: Path | None) -> None:
    """Refuse options that do not go together, and a picture that cannot be drawn, before a world runs for a minute."""
    if replay is not None:
        for name in ("seeds", "jobs"):
            if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
                raise click.UsageError(f"--replay runs one seed: --{name} does not go with it")
    if timeline is None:
        return
    if replay is None:
        raise click.UsageError("--timeline draws one seed: it goes with --replay")
    try:
        form_of(timeline)
    except DrawingError as error:
        raise OneLineError(str(error), WRONG_USAGE) from None


def _again(context: click.Context) -> str:
    """The command that runs one of these worlds again, up to the number of its seed: the terms are part of a world."""
    words = ["gapless", "torture"]
    for name in ("hours", "rate", "faults", "texts"):
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            values = context.params[name]
            for value in values if isinstance(values, tuple) else (values,):
                words += ["--set" if name == "texts" else f"--{name}", str(value)]
    return shlex.join([*words, "--replay"])


@dataclass(slots=True)
class Total:
    """What all seeds came to. ``again``: the command that runs one of them once more, without its number."""

    again: str = ""
    seeds: int = 0
    failed: list[int] = field(default_factory=list)
    sim_s: float = 0.0
    cpu_s: float = 0.0
    delivered: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    edges: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """One more seed."""
        self.seeds += 1
        self.sim_s += outcome.sim_s
        self.cpu_s += outcome.cpu_s
        self.delivered += outcome.delivered
        self.faults.update(outcome.faults)
        self.edges.update(outcome.edges)
        self.reasons.update(outcome.reasons)
        if not outcome.ok:
            self.failed.append(outcome.seed)
            self.failed.sort()

    @property
    def hours_per_cpu_s(self) -> float:
        """Simulated hours per processor second."""
        return self.sim_s / 3600.0 / self.cpu_s if self.cpu_s else 0.0

    def as_json(self) -> str:
        """One line for a program."""
        return msgspec.json.encode(
            {
                "seeds": self.seeds,
                "failed": self.failed,
                "sim_hours": round(self.sim_s / 3600.0, 3),
                "cpu_s": round(self.cpu_s, 3),
                "delivered": self.delivered,
                "faults": {name: self.faults[name] for name in FAULTS},
                "edges": dict(sorted(self.edges.items())),
                "lost": dict(sorted(self.reasons.items())),
            }
        ).decode()

    def as_text(self) -> str:
        """A few lines for a person."""
        struck = sum(1 for name in FAULTS if self.faults[name])
        verdict = f"{len(self.failed)} FAILED: {', '.join(map(str, self.failed))}" if self.failed else "all clean"
        return (
            f"{self.seeds} seeds, {verdict}\n"
            f"{self.sim_s / 3600.0:.2f} simulated hours in {self.cpu_s:.1f} s of processor time "
            f"({self.hours_per_cpu_s:.2f} h/s), {self.delivered} data delivered\n"
            f"{self.faults.total()} faults of {struck} classes, {self.edges.total()} transitions over "
            f"{len(self.edges)} rows of the table, {self.reasons.total()} losses reported"
        )


def _terms(hours: float, rate: float, faults: str | None, texts: Sequence[str]) -> Terms:
    names = tuple(name.strip() for name in (faults or "").split(",") if name.strip())
    if faults is not None and not names:
        raise click.UsageError(f"--faults {faults!r} names no fault; --list-faults prints them")
    try:
        given = assignments(texts)
        config = NetworkConfig.from_text(given)
        return Terms(
            hours=hours,
            rate_per_s=rate,
            faults=names,
            settings={name: getattr(config, name) for name in given},
        )
    except (ConfigurationError, ValueError) as error:
        raise OneLineError(str(error), WRONG_USAGE) from None


def _replay(seed: int, terms: Terms, total: Total, timeline: Path | None) -> None:
    """Print one world, as it goes by, and draw it where a picture is wanted."""
    plan = draw(seed, terms)
    changed = {name: value for name, value in plan.settings.items() if value != getattr(NetworkConfig(), name)}
    click.echo(f"seed {seed}: {', '.join(map(str, plan.streams))}; settings {changed}")
    tape = None if timeline is None else Tape()
    outcome = run_seed(seed, terms, lambda now, text: click.echo(f"{now:10.3f}  {text}"), tape)
    total.add(outcome)
    if tape is not None and timeline is not None:
        _draw(tape, timeline, f"torture, seed {seed}")
    if not outcome.ok:
        click.echo(_failure_text(outcome, total.again))


def _draw(tape: Tape, timeline: Path, title: str) -> None:
    try:
        render(read_run(tape.lines), timeline, title)
    except DrawingError as error:
        raise OneLineError(str(error)) from None
    except OSError as error:
        raise OneLineError(f"cannot write {timeline}: {error.strerror}") from None


def _finish(total: Total, *, json_wanted: bool) -> None:
    click.echo(total.as_json() if json_wanted else total.as_text())
    if total.failed:
        raise OneLineError(
            f"{len(total.failed)} of {total.seeds} seeds broke a promise; {total.again} {total.failed[0]}"
        )


def _failure_text(outcome: Outcome, again: str) -> str:
    lines = [f"seed {outcome.seed} broke {len(outcome.violations)} promises:"]
    lines += [f"  {text}" for text in outcome.violations]
    lines += ["  the last transitions:", *(f"    {move}" for move in outcome.last_moves)]
    lines += [f"  all of it: {again} {outcome.seed}"]
    return "\n".join(lines)


class _Display(Protocol):
    def advance(self, total: Total) -> None: ...

    def say(self, text: str) -> None: ...


@contextmanager
def _progress(seeds: int) -> Iterator[_Display]:
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield _Lines(console, seeds)
        return
    columns = (
        TextColumn("torture"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield _Bar(progress, seeds)


class _Bar:
    """A progress bar on a terminal."""

    def __init__(self, progress: Progress, seeds: int) -> None:
        self._progress = progress
        self._task = progress.add_task("torture", total=seeds, figures="")

    def advance(self, total: Total) -> None:
        figures = f"{len(total.failed)} failed, {total.hours_per_cpu_s:.2f} h/s"
        self._progress.update(self._task, advance=1, figures=figures)

    def say(self, text: str) -> None:
        self._progress.console.print(text, markup=False, soft_wrap=True)


class _Lines:
    """A line now and then, where there is no terminal."""

    def __init__(self, console: Console, seeds: int) -> None:
        self._console = console
        self._seeds = seeds
        self._next_at = time.monotonic() + _LINE_EVERY_S

    def advance(self, total: Total) -> None:
        if time.monotonic() >= self._next_at:
            self._next_at = time.monotonic() + _LINE_EVERY_S
            self.say(f"{total.seeds} of {self._seeds} seeds, {len(total.failed)} failed")

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)
