"""The command: ``make bench``, or ``python -m benchmarks``."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from benchmarks import chart, own, report
from benchmarks.claims import claims
from benchmarks.harness import Table, measure
from benchmarks.processes import ENVIRONMENTS, install, processors, python_of, server
from benchmarks.registry import CONTENDERS
from benchmarks.scenarios import SCENARIOS

_NAMES = [*(scenario.name for scenario in SCENARIOS), *own.NAMES]
_FEWER = {"restart": 5, "simulation": 1, "many": 3}
"""Repeats at most, where one takes long or hardly varies."""


@click.command(context_settings={"max_content_width": 120})
@click.option(
    "--only", multiple=True, type=click.Choice(_NAMES), help="A scenario or measure; repeatable. Default: all."
)
@click.option("--with", "wanted", multiple=True, metavar="TEXT", help="Rows whose name contains this; repeatable.")
@click.option("--repeats", default=5, show_default=True, type=click.IntRange(1), help="Runs of each row.")
@click.option("--seconds", default=60.0, type=click.FloatRange(min=0.05), help="A run at most; default: 2 or 5.")
@click.option("--quick", is_flag=True, help="At most 2 repeats of half a second, 50 clients: a look, no result.")
@click.option("--install", "install_only", is_flag=True, help="Install the peers that are missing, and end.")
@click.option("--upgrade", is_flag=True, help="With --install: bring those that are there up to date, too.")
@click.option("--out", type=click.Path(path_type=Path), help="All samples as JSON; the plot is written beside it.")
def main(
    *,
    only: tuple[str, ...],
    wanted: tuple[str, ...],
    repeats: int,
    seconds: float,
    quick: bool,
    install_only: bool,
    upgrade: bool,
    out: Path | None,
) -> None:
    """Measure gapless and its peers side by side, in one run, as ratios.

    Each contender is a process of its own on one processor, the server is another one on another; they take turns, and
    medians are compared. Close everything else first: a machine that does something else says nothing.

    \b
    python -m benchmarks --install                        what the peers are made of, from PyPI, into .bench/
    python -m benchmarks --only bursts --with wire --with ccxt --quick
    python -m benchmarks                                  all of it, an hour and a half; writes benchmarks/results/
    """  # noqa: D301  # click reads the backspace
    if install_only:
        _install(upgrade=upgrade)
        return
    if quick:
        repeats, seconds = min(repeats, 2), min(seconds, 0.5)
    if out is None:
        whole = not (only or wanted or quick)
        out = report.RESULTS / "latest.json" if whole else ENVIRONMENTS / "last.json"
    tables: list[Table] = []
    rows: dict[str, own.Rows] = {}
    scenarios = [each for each in SCENARIOS if not only or each.name in only]
    needs_tls = any(each.tls for each in scenarios)
    with _written(tables, rows, out), server(cpu=processors()[0], tls=needs_tls) as addresses:
        for scenario in scenarios:
            click.echo(f"{scenario.name}: {scenario.about}")
            contenders = [each for each in CONTENDERS if _is_wanted(each.name, wanted)]
            table = measure(scenario.shortened(seconds), contenders, addresses, repeats=repeats, say=click.echo)
            tables.append(table)
            click.echo(f"\n{report.as_text(table)}\n")
        for name, cases in own.measures(quick=quick).items():
            chosen = {case: options for case, options in cases.items() if _is_wanted(case, wanted)}
            if chosen and (not only or name in only):
                click.echo(f"{name}")
                times = min(repeats, _FEWER.get(name, repeats))
                rows[name] = own.measure(name, chosen, addresses, repeats=times, say=click.echo)
                click.echo(f"\n{own.as_text(name, rows[name])}\n")


def _is_wanted(name: str, wanted: tuple[str, ...]) -> bool:
    return not wanted or any(text in name for text in wanted)


@contextmanager
def _written(tables: list[Table], rows: dict[str, own.Rows], out: Path) -> Iterator[None]:
    """Whatever was measured is written, also where the rest was interrupted."""
    try:
        yield
    finally:
        if tables or rows:
            shown = claims(tables, rows)
            if shown:
                click.echo("what must show:\n" + "\n".join(map(str, shown)) + "\n")
            verdicts = [{"claim": each.text, "value": each.value, "verdict": each.verdict} for each in shown]
            document: dict[str, Any] = report.as_json(tables, {"measures": rows, "claims": verdicts})
            report.write(document, out)
            out.with_suffix(".svg").write_text(chart.as_svg(document))
            click.echo(f"all samples: {out}, the plot beside it")


def _install(*, upgrade: bool) -> None:
    """Each peer's environment; one that cannot be installed is left out."""
    packages = {each.environment: each.packages for each in CONTENDERS if each.is_peer}
    for environment, names in packages.items():
        if upgrade or not python_of(environment).exists():
            click.echo(f"installing {', '.join(names)} into {ENVIRONMENTS.name}/{environment}")
            try:
                install(environment, names)
            except subprocess.CalledProcessError as error:
                python_of(environment).unlink(missing_ok=True)
                click.echo(f"  failed, and will not be measured: {error}")


if __name__ == "__main__":
    main()
