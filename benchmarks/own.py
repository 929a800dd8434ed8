"""The measures that have no peers but themselves, in interleaved repeats: see :mod:`benchmarks.measures`."""

from collections.abc import Callable, Mapping
from statistics import median
from typing import Any, Final

from benchmarks.processes import MeasurementError, processors, result_of

Rows = dict[str, dict[str, Any]]

_TRANSPORTS: Final = ("wire", "trio-websocket")
_SKIPS: Final = {
    "1 id": "1000:1",
    "1,000 ids": "1000:1000",
    "1,001 ids": "1000:1001",
    "2,500 ids": "1000:2500",
    "two gaps in one page": "1000:10,1015:10",
}


def _silence() -> dict[str, Mapping[str, Any]]:
    cases = [(transport, others) for transport in _TRANSPORTS for others in (0, 1_000)] + [("wire", 50_000)]
    return {
        f"{transport}, {others:,}/s on others": {"transport": transport, "others_per_s": others}
        for transport, others in cases
    }


def _repair() -> dict[str, Mapping[str, Any]]:
    return {
        f"{transport}, {name}": {"transport": transport, "skip": skip}
        for transport in _TRANSPORTS
        for name, skip in _SKIPS.items()
    }


def _restart() -> dict[str, Mapping[str, Any]]:
    return {transport: {"transport": transport} for transport in _TRANSPORTS}


def _many(clients: int, seconds: float) -> dict[str, Mapping[str, Any]]:
    kinds = [("bare", "trio-websocket"), *(("gapless", transport) for transport in _TRANSPORTS)]
    return {
        f"{kind} {transport}, {f'{per_s} messages/s each' if per_s else 'idle'}": {
            "kind": kind,
            "transport": transport,
            "per_s": per_s,
            "clients": clients,
            "seconds": seconds,
        }
        for per_s in (0, 2)
        for kind, transport in kinds
    }


def measures(*, quick: bool) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Every measure's cases: what is said to the process, by the name of the row."""
    clients, seconds = (50, 2.0) if quick else (500, 20.0)
    return {
        "silence": _silence(),
        "repair": _repair(),
        "restart": _restart(),
        "simulation": {"torture": {"seeds": 1 if quick else 4, "hours": 0.25}},
        "many": _many(clients, seconds),
    }


NAMES: Final = tuple(measures(quick=True))
_MAX_S: Final = {"simulation": 900.0}


def measure(
    name: str,
    cases: Mapping[str, Mapping[str, Any]],
    addresses: Mapping[str, str],
    *,
    repeats: int,
    say: Callable[[str], None],
) -> Rows:
    """Run every case ``repeats`` times; medians and all samples by case."""
    samples: dict[str, list[dict[str, Any]]] = {case: [] for case in cases}
    failed: dict[str, str] = {}
    for repeat in range(repeats):
        for case, options in cases.items():
            task = {**addresses, **options, "cpu": processors()[1]}
            try:
                figures = result_of(f"benchmarks.measures.{name}", task, max_s=_MAX_S.get(name, 120.0))
            except MeasurementError as error:
                failed[case] = str(error).splitlines()[-1]
                say(f"  failed: {case}: {failed[case]}")
                continue
            samples[case].append(figures)
            say(f"  {repeat + 1}/{repeats} {case:<44} {line(figures)}")
    rows: Rows = {
        case: {
            "medians": {
                key: median(each[key] for each in runs)
                for key, value in (runs[0] if runs else {}).items()
                if isinstance(value, int | float)
            },
            "samples": runs,
            **({"failed": failed[case]} if case in failed else {}),
        }
        for case, runs in samples.items()
    }
    return rows


def line(figures: Mapping[str, Any]) -> str:
    """Numbers with their units, which end their names."""
    return "  ".join(f"{key} {value:,.2f}" for key, value in figures.items() if isinstance(value, int | float))


def as_text(name: str, rows: Rows) -> str:
    """A table for the terminal."""
    lines = [f"{name}; medians of {max((len(row['samples']) for row in rows.values()), default=0)}"]
    for case, row in rows.items():
        lines.append(f"  {case:<44} {line(row['medians'])}{row.get('failed', '')}")
    return "\n".join(lines)
