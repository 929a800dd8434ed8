"""What it costs to be an asyncio app: gapless from asyncio beside gapless from trio, and beside asyncio's own clients.

``python -m benchmarks.asyncio_consumer`` runs all of it in a quarter of an hour; ``--quick`` is a first look, ``--own``
leaves the peers out, ``--repeats N`` says how often (5). One server, one
process per contender, taking turns, medians, as in ``python -m benchmarks``; peers whose environment is missing are
named. At the end it says whether what :mod:`gapless.controller.aio` promises holds, and exits 1 where it does not:

* flat out on trio-websocket an asyncio app gets at least 0.70 of what a trio app gets;
* 20,000 messages/s offered arrive as fast as they are sent, and whole, on ``wire``;
* at 1,000 lone messages/s the 99th percentile of latency is at most 1 ms above that of a trio app.
"""

import argparse
import os
import sys
from typing import Any, Final

from benchmarks.harness import Table, measure
from benchmarks.processes import processors, server
from benchmarks.registry import CONTENDERS, Contender
from benchmarks.report import as_text, medians
from benchmarks.scenarios import Scenario

_SHARE_MIN: Final = 0.70
_OFFERED_PER_S: Final = 20_000
_KEPT_UP: Final = 0.995
"""Of the offered rate: the first and the last message that are counted are met at the end of some batch."""
_ADDED_P99_MAX_US: Final = 1_000.0
_PEERS: Final = ("websockets", "aiohttp", "ccxt pro", "picows + callback")


def _trio(transport: str, consume: str) -> Contender:
    name = f"trio, {transport}, {consume}"
    return Contender(name=name, module="gapless_full", options={"transport": transport, "consume": consume})


def _asyncio(transport: str, consume: str, how: str = "thread", *, free: bool = False) -> Contender:
    name = f"asyncio {how}, {transport}, {consume}{', unpinned' if free else ''}"
    options = {"transport": transport, "consume": consume, "how": how, "free": free}
    return Contender(name=name, module="gapless_aio", options=options)


def _contenders(transport: str, *, peers: bool) -> list[Contender]:
    own = [
        _trio(transport, "batches"),
        _asyncio(transport, "batches"),
        _asyncio(transport, "batches", free=True),
        _asyncio(transport, "batches", "guest"),
        _trio(transport, "events"),
        _asyncio(transport, "events"),
    ]
    return own + [each for each in CONTENDERS if peers and each.name in _PEERS]


FLAT_OUT: Final = Scenario(name="flat-out", about="190-byte messages as fast as they are taken, trio-websocket")
FLAT_OUT_WIRE: Final = Scenario(name="flat-out-wire", about="the same on wire")
OFFERED: Final = Scenario(
    name="offered", about="20,000 messages/s in bursts of 20, wire", rate=_OFFERED_PER_S, burst=20, seconds=5.0
)
LONE: Final = Scenario(name="lone", about="1,000 messages/s, each alone, trio-websocket", rate=1_000, seconds=5.0)
LONE_WIRE: Final = Scenario(name="lone-wire", about="the same on wire", rate=1_000, seconds=5.0)

_SCENARIOS: Final = (
    (FLAT_OUT, "trio-websocket"),
    (FLAT_OUT_WIRE, "wire"),
    (OFFERED, "wire"),
    (LONE, "trio-websocket"),
    (LONE_WIRE, "wire"),
)


def _compared(table: Table, transport: str) -> list[str]:
    """Asyncio against trio, both consumers."""
    middle, lines = medians(table), []
    for consume in ("batches", "events"):
        trio, own = (middle.get(each.name) for each in (_trio(transport, consume), _asyncio(transport, consume)))
        if trio is None or own is None:
            lines.append(f"  {consume}: not measured")
            continue
        line = f"  {consume}: {own['rate_per_s'] / trio['rate_per_s']:.2f} of trio's rate"
        line += f", {own['cpu_us'] / trio['cpu_us']:.2f} of its CPU"
        if table.scenario.rate:
            line += f"; p50 {own['p50_us'] - trio['p50_us']:+.0f} us, p99 {own['p99_us'] - trio['p99_us']:+.0f} us"
        lines.append(line)
    lags = {name: each["lag_p99_ms"] for name, each in middle.items() if "lag_p99_ms" in each}
    lines += [f"  the loop's lag, p99: {lag:6.1f} ms  {name}" for name, lag in lags.items()]
    return lines


def _broken(tables: dict[str, Table]) -> list[str]:
    """What is promised and does not hold."""

    def of(scenario: Scenario, contender: Contender) -> dict[str, float]:
        return medians(tables[scenario.name]).get(contender.name, {})

    found = []
    for consume in ("batches", "events"):
        tws, wire = _asyncio("trio-websocket", consume), _asyncio("wire", consume)
        share = of(FLAT_OUT, tws).get("rate_per_s", 0.0) / of(FLAT_OUT, _trio("trio-websocket", consume))["rate_per_s"]
        if share < _SHARE_MIN:
            found.append(f"{consume}: flat out {share:.2f} of trio's rate, expected {_SHARE_MIN:.2f}")
        offered = of(OFFERED, wire).get("rate_per_s", 0.0)
        if offered < _OFFERED_PER_S * _KEPT_UP:
            found.append(f"{consume}: {offered:,.0f} of {_OFFERED_PER_S:,} messages/s that were offered")
        if any("notes" in sample for sample in tables[OFFERED.name].samples.get(wire.name, [])):
            found.append(f"{consume}: it did not keep up, and fetched again")
        added = of(LONE, tws).get("p99_us", 1e9) - of(LONE, _trio("trio-websocket", consume))["p99_us"]
        if added > _ADDED_P99_MAX_US:
            found.append(f"{consume}: p99 {added:.0f} us above trio's, expected {_ADDED_P99_MAX_US:.0f} at most")
    return found


def main() -> None:
    """Measure, say, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--own", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    load = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"asyncio consumer; {os.cpu_count()} processors, {load} before the first run")
    tables: dict[str, Table] = {}
    repeats = 1 if chosen.quick else chosen.repeats
    options: dict[str, Any] = {"repeats": repeats, "say": lambda line: print(line, file=sys.stderr)}
    with server(cpu=processors()[0]) as addresses:
        for scenario, transport in _SCENARIOS:
            shape = scenario.shortened(1.0) if chosen.quick else scenario
            table = tables[scenario.name] = measure(
                shape, _contenders(transport, peers=not chosen.own), addresses, **options
            )
            print("\n" + as_text(table), *_compared(table, transport), sep="\n", flush=True)
    broken = _broken(tables)
    print(f"\n{'all that is promised holds' if not broken else 'BROKEN:'}", *broken, sep="\n  ")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
