"""Tables and the file of results. Medians with the lowest and highest of the repeats; ratios of medians."""

import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness import Table
from benchmarks.processes import ENVIRONMENTS, ROOT
from benchmarks.registry import CONTENDERS

RESULTS = ROOT / "benchmarks" / "results"


def medians(table: Table) -> dict[str, dict[str, float]]:
    """Per contender the median of each figure."""
    return {
        name: {
            key: median(sample[key] for sample in samples)
            for key, value in samples[0].items()
            if isinstance(value, int | float)
        }
        for name, samples in table.samples.items()
    }


def as_text(table: Table) -> str:
    """A table for the terminal; the fastest first, or the one with the least CPU at a fixed rate."""
    middle, timed = medians(table), bool(table.scenario.rate)
    if not middle:
        return f"{table.scenario.name}: nothing was measured"
    rank = (lambda name: middle[name]["cpu_us"]) if timed else (lambda name: -middle[name]["rate_per_s"])
    order = sorted(middle, key=rank)
    own = next((name for name in order if name.startswith("gapless wire")), None) or next(
        (name for name in order if name.startswith("gapless")), order[0]
    )
    runs = max(map(len, table.samples.values()))
    lines = [f"{table.scenario.name}: {table.scenario.about}; medians of {runs}, 1.00 is {own}"]
    key, unit = ("cpu_us", "us CPU/message") if timed else ("rate_per_s", "messages/s")
    heading = f"  {'':<36}{unit:>15}  {'(low - high)':<22}{'ratio':>6}"
    lines.append(heading + (f"{'p50 us':>9}{'p99 us':>9}" if timed else f"{'us CPU':>9}"))
    for name in order:
        values = [sample[key] for sample in table.samples[name]]
        figure = "{:,.2f}" if timed else "{:,.0f}"
        spread = f"({figure.format(min(values))} - {figure.format(max(values))})"
        mine = middle[name][key]
        line = f"  {name:<36}{figure.format(mine):>15}  {spread:<22}{mine / middle[own][key]:>6.2f}"
        extra = ("p50_us", "p99_us") if timed else ("cpu_us",)
        lines.append(line + "".join(f"{middle[name][each]:>9.{0 if timed else 2}f}" for each in extra))
    for name, samples in table.samples.items():
        if notes := [sample["notes"] for sample in samples if "notes" in sample]:
            lines.append(f"  note: {name}: {len(notes)} of {len(samples)} runs were not whole: {notes[-1]}"[:240])
    lines += [f"  {name:<36}not measured: {reason}" for name, reason in table.absent.items()]
    return "\n".join(lines)


def as_json(tables: Iterable[Table], extras: Mapping[str, Any]) -> dict[str, Any]:
    """Everything: the machine, the versions, the command, all samples."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": "python -m benchmarks " + " ".join(sys.argv[1:]),
        "machine": {
            "system": platform.platform(),
            "processor": _processor(),
            "processors": os.cpu_count(),
            "load": os.getloadavg(),
            "python": platform.python_version(),
        },
        "versions": versions(),
        "scenarios": {
            table.scenario.name: {
                "about": table.scenario.about,
                "medians": medians(table),
                "samples": table.samples,
                "not_measured": table.absent,
            }
            for table in tables
        },
        **extras,
    }


def write(document: Mapping[str, Any], path: Path) -> None:
    """Write the results."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")


def versions() -> dict[str, str]:
    """Of the libraries measured, each from the environment it runs in."""
    found = {name: importlib.metadata.version(name) for name in ("gapless", "trio", "trio-websocket", "msgspec")}
    for contender in CONTENDERS:
        if contender.is_peer:
            folders = map(str, (ENVIRONMENTS / contender.environment).glob("lib/python*/site-packages"))
            there = {each.name: each.version for each in importlib.metadata.distributions(path=list(folders))}
            found |= {name: there[name] for name in contender.packages if name in there and name not in found}
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
