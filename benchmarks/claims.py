"""What must show, computed from the medians of one run: reached, a tie (within 10 %), or missed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.harness import Table
from benchmarks.registry import CONTENDERS
from benchmarks.report import medians

TIE: Final = 0.10
"""Ratios closer than this are ties: what one run differs from the next on a quiet machine."""

WIRE: Final = "gapless wire, batches"
TRIO: Final = "gapless trio-websocket, batches"
_RIVALS: Final = ("ccxt pro", "ccxt pro, uvloop", "cryptofeed")
_PEERS: Final = tuple(each.name for each in CONTENDERS if each.is_peer)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One figure and its bound."""

    text: str
    value: float
    target: float
    at_least: bool
    is_ratio: bool = True

    @property
    def verdict(self) -> str:
        """In a word."""
        short = self.target / self.value if self.at_least else self.value / self.target
        if short <= 1:
            return "reached"
        return "tie" if self.is_ratio and short <= 1 + TIE else "missed"

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        return f"  {self.text:<66}{self.value:>12,.2f}  {sign} {self.target:>9,.2f}  {self.verdict}"


Medians = Mapping[str, Mapping[str, float]]


def claims(tables: Sequence[Table], own: Mapping[str, Mapping[str, Any]]) -> list[Claim]:
    """All that can be computed from what was measured."""
    figures = {table.scenario.name: medians(table) for table in tables}
    made = [*_bursts(figures.get("bursts", {}))]
    for name in ("lone-5000", "lone-5000-tls"):
        made += _lone(name, figures.get(name, {}))
    made += _twenties(figures.get("twenties", {}))
    for name in ("large", "deflate", "tls"):
        made += _against_all(name, figures.get(name, {}))
    rows = {name: {case: row["medians"] for case, row in cases.items()} for name, cases in own.items()}
    made += _silence(rows.get("silence", {}))
    made += _repair(rows.get("repair", {}))
    made += _many(rows.get("many", {}))
    return made


def _ratio(figures: Medians, key: str, one: str, other: str) -> float | None:
    if one not in figures or other not in figures or not figures[other].get(key):
        return None
    return figures[one][key] / figures[other][key]


def _made(
    text: str, value: float | None, target: float, *, at_least: bool = False, is_ratio: bool = True
) -> Iterator[Claim]:
    if value is not None:
        yield Claim(text=text, value=value, target=target, at_least=at_least, is_ratio=is_ratio)


def _bursts(figures: Medians) -> Iterator[Claim]:
    def times(other: str, target: float, own: str = WIRE) -> Iterator[Claim]:
        yield from _made(f"bursts: {own} / {other}", _ratio(figures, "rate_per_s", own, other), target, at_least=True)

    yield from times("bare scanner", 0.75)
    yield from times("ccxt pro", 2.0)
    yield from times("unicorn-binance on picows", 3.0)
    yield from times("cryptofeed", 5.0)
    yield from times("nautilus_trader", 7.0)
    yield from times("picows + callback", 1.0)
    yield from times("bare get_message", 0.9, TRIO)
    if WIRE in figures:
        rate = figures[WIRE]["rate_per_s"]
        yield Claim(text=f"bursts: {WIRE}, messages/s", value=rate, target=1e6, at_least=True)


def _lone(name: str, figures: Medians) -> Iterator[Claim]:
    for key in ("cpu_us", "p99_us"):
        yield from _made(
            f"{name}: {WIRE} / bare stream + wake, {key}", _ratio(figures, key, WIRE, "bare stream + wake"), 1.35
        )
    for other in _RIVALS:
        for key in ("cpu_us", "p50_us"):
            yield from _made(f"{name}: {WIRE} / {other}, {key}", _ratio(figures, key, WIRE, other), 1.0)


def _twenties(figures: Medians) -> Iterator[Claim]:
    for other in _RIVALS:
        ratio = _ratio(figures, "cpu_us", other, WIRE)
        yield from _made(f"twenties: {other} / {WIRE}, cpu_us", ratio, 1.5, at_least=True)


def _against_all(name: str, figures: Medians) -> Iterator[Claim]:
    peers = [peer for peer in _PEERS if peer in figures]
    if peers:
        best = max(peers, key=lambda peer: figures[peer]["rate_per_s"])
        ratio = _ratio(figures, "rate_per_s", WIRE, best)
        yield from _made(f"{name}: {WIRE} / the best peer, {best}", ratio, 1.0, at_least=True)


def _silence(rows: Medians) -> Iterator[Claim]:
    for case, found in rows.items():
        if found:
            yield from _made(f"silence, {case}: found, ms", found["found_ms"], 100.0, is_ratio=False)
            after = max(found["datum_ms"] - found["round_trip_ms"], 0.0)
            yield from _made(f"silence, {case}: datum after the round trip, ms", after, 50.0, is_ratio=False)


def _repair(rows: Medians) -> Iterator[Claim]:
    requests = {"1 id": 1, "1,000 ids": 1, "1,001 ids": 2, "2,500 ids": 3, "two gaps in one page": 1}
    for case, found in rows.items():
        target = requests[case.partition(", ")[2]]
        if found:
            yield from _made(f"repair, {case}: requests", found["requests"], target, is_ratio=False)


def _many(rows: Medians) -> Iterator[Claim]:
    bounds: list[tuple[str, float, float]] = [("trio-websocket", 1.5, 2.5), ("wire", 1.0, 1.0)]
    label: Callable[[str, str], str] = "{}, {}".format
    for load in ("idle", "2 messages/s each"):
        bare = label("bare trio-websocket", load)
        for transport, cpu, memory in bounds:
            own = label(f"gapless {transport}", load)
            for key, target in (("cpu_percent", cpu), ("kib_each", memory)):
                yield from _made(f"many: {own} / bare, {key}", _ratio(rows, key, own, bare), target)
