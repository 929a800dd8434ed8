"""The command: ``make bench``, or ``python -m benchmarks``."""

from pathlib import Path

import click

from benchmarks import report
from benchmarks.harness import Table, measure
from benchmarks.processes import processors, server
from benchmarks.registry import CONTENDERS
from benchmarks.scenarios import SCENARIOS

_NAMES = [scenario.name for scenario in SCENARIOS]


@click.command(context_settings={"max_content_width": 120})
@click.option("--only", multiple=True, type=click.Choice(_NAMES), help="A scenario; several are allowed. Default: all.")
@click.option(
    "--with", "wanted", multiple=True, metavar="TEXT", help="Contenders whose name contains this. Default: all."
)
@click.option("--repeats", default=5, show_default=True, type=click.IntRange(1), help="Runs of each contender.")
@click.option(
    "--seconds",
    default=60.0,
    type=click.FloatRange(min=0.05),
    help="At most so long a run. Default: as the scenario says, 2 or 5.",
)
@click.option("--quick", is_flag=True, help="At most 2 repeats of half a second: a first look, not a result.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=report.RESULTS / "latest.json",
    show_default=True,
    help="Where all samples go.",
)
def main(
    *, only: tuple[str, ...], wanted: tuple[str, ...], repeats: int, seconds: float, quick: bool, out: Path
) -> None:
    """Measure gapless and its peers side by side, in one run, as ratios.

    Each contender is a process of its own on one processor, the server is another one on another; they take turns, and
    medians are compared. Close everything else first: at 5 % load of something else differences under 10 % say nothing.
    """
    if quick:
        repeats, seconds = min(repeats, 2), min(seconds, 0.5)
    contenders = [each for each in CONTENDERS if not wanted or any(text in each.name for text in wanted)]
    tables: list[Table] = []
    try:
        with server(cpu=processors()[0]) as addresses:
            for scenario in (each for each in SCENARIOS if not only or each.name in only):
                click.echo(f"{scenario.name}: {scenario.about}")
                table = measure(scenario.shortened(seconds), contenders, addresses, repeats=repeats, say=click.echo)
                tables.append(table)
                click.echo(f"\n{report.as_text(table)}\n")
    finally:
        if tables:
            report.write(report.as_json(tables, {}), out)
            click.echo(f"all samples: {out}")


if __name__ == "__main__":
    main()
