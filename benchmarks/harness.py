"""Interleaved repeats: A B C A B C ..., so that what disturbs the machine disturbs all alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.processes import AUTHORITY, MeasurementError, processors, python_of, result_of
from benchmarks.registry import Contender
from benchmarks.scenarios import Scenario

_PROBE: Final = 20_000
"""Messages of the first run, which is not counted: it warms caches, and tells how many messages fill the time."""
_WARM_SHARE: Final = 0.1
"""Of the messages of a run that come before the clock starts."""
_FEWEST: Final = 30_000
"""Messages of a run: three times what gapless's buffer holds, and more than all buffers on the way. A shorter run
measures how fast an app empties what had arrived before its clock started."""


@dataclass(kw_only=True)
class Table:
    """One scenario's results."""

    scenario: Scenario
    samples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    """Contenders that were not measured, and why."""


Say = Callable[[str], None]


def measure(
    scenario: Scenario, contenders: Sequence[Contender], addresses: dict[str, str], *, repeats: int, say: Say
) -> Table:
    """Run every contender ``repeats`` times."""
    table = Table(scenario=scenario)
    running: dict[Contender, int] = {}
    for contender in contenders:
        reason = _why_not(scenario, contender)
        if reason is None:
            try:
                running[contender] = _size(scenario, contender, addresses)
            except MeasurementError as error:
                reason = _in_short(error)
        if reason is not None:
            table.absent[contender.name] = reason
            say(f"  not measured: {contender.name}: {reason}")
    for repeat in range(repeats):
        for contender, count in list(running.items()):
            try:
                figures = run_once(scenario, contender, addresses, count)
            except MeasurementError as error:
                table.absent[contender.name] = _in_short(error)
                say(f"  failed: {contender.name}: {table.absent[contender.name]}")
                del running[contender]
                continue
            table.samples.setdefault(contender.name, []).append(figures)
            say(f"  {repeat + 1}/{repeats} {contender.name:<34} {_line(figures)}")
    return table


def _why_not(scenario: Scenario, contender: Contender) -> str | None:
    for need in sorted(scenario.needs & contender.cannot.keys()):
        return contender.cannot[need]
    if contender.is_peer and not python_of(contender.environment).exists():
        return f"no environment; `make bench-peers` installs {', '.join(contender.packages)}"
    return None


def _in_short(error: MeasurementError) -> str:
    """One line: of a traceback the error, of one that hung where it did."""
    lines = str(error).splitlines()
    hung = next((at for at, line in enumerate(lines) if "most recent call first" in line), None)
    return lines[-1] if hung is None else "it hung in" + lines[hung + 1].rpartition("/")[2].replace('"', "")


def _size(scenario: Scenario, contender: Contender, addresses: dict[str, str]) -> int:
    """Messages of one run: what fills the scenario's time."""
    if scenario.rate:
        return max(int(scenario.rate * scenario.seconds), scenario.burst * 2)
    probe = run_once(scenario, contender, addresses, min(_PROBE, scenario.messages_max))
    return min(max(_FEWEST, int(probe["rate_per_s"] * scenario.seconds)), scenario.messages_max)


def run_once(scenario: Scenario, contender: Contender, addresses: dict[str, str], count: int) -> dict[str, Any]:
    """One process, one connection, one result.

    Raises:
        MeasurementError: the contender failed.
    """
    task = {
        "ws_url": f"{addresses['wss_url' if scenario.tls else 'ws_url']}?{scenario.query(count)}",
        "rest_url": addresses["rest_url"],
        "symbols": scenario.symbols,
        "count": count,
        "warm": max(1, int(count * _WARM_SHARE)),
        "timed": bool(scenario.rate),
        "certificate": str(AUTHORITY) if scenario.tls else "",
        "deflate": scenario.deflate,
        "large": scenario.large,
        "cpu": processors()[1],
        "options": dict(contender.options),
    }
    module = f"benchmarks.contenders.{contender.module}"
    return result_of(module, task, environment=contender.environment if contender.is_peer else None)


def _line(figures: dict[str, Any]) -> str:
    text = f"{figures['rate_per_s']:>10,.0f} messages/s  {figures['cpu_us']:7.2f} us CPU"
    if figures["p50_us"] is not None:
        text += f"  p50 {figures['p50_us']:6.0f} us  p99 {figures['p99_us']:6.0f} us"
    return text + (f"  {figures['notes']}" if "notes" in figures else "")
