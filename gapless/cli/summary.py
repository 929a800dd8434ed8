"""What a demo came to, for a person and for a program."""

from typing import Final

import msgspec
from rich.console import Group, RenderableType
from rich.text import Text

from gapless.cli.oracle import Verdict
from gapless.cli.scene import CONFIG, SILENCE_MAX_S
from gapless.cli.stage import Outcome

_SHOWN_MAX: Final = 20
"""Violations a person is shown."""


def as_json(outcome: Outcome) -> str:
    """One line; the field names are a contract."""
    verdict = outcome.verdict
    figures = {
        "ok": verdict.ok,
        "owed": verdict.owed,
        "delivered": verdict.delivered,
        "unreported": verdict.unreported,
        "duplicates": verdict.duplicates,
        "lost_reported": verdict.lost_reported,
        "states": verdict.states,
        "silence_found_after_s": _rounded(verdict.silence_found_after_s),
        "rest_requests_per_s_max": verdict.rest_requests_per_s_max,
        "failures": verdict.failures,
        "violations": verdict.violations,
        "seconds": _rounded(outcome.seconds),
    }
    return msgspec.json.encode(figures).decode()


def as_text(outcome: Outcome) -> RenderableType:
    """A few lines that say at a glance whether the feed came out whole."""
    verdict = outcome.verdict
    headline = Text.assemble(
        ("WHOLE", "bold green") if verdict.ok else ("BROKEN", "bold red"),
        f": {verdict.delivered} delivered, {verdict.lost_reported} reported lost",
        f", {verdict.unreported} missing, {verdict.duplicates} twice",
    )
    lines = [Text.assemble((f"  {name:<26}", "dim"), value) for name, value in _figures(outcome)]
    complaints = [Text(f"  violation: {text}", "red") for text in verdict.violations[:_SHOWN_MAX]]
    return Group(headline, *lines, *complaints)


def _figures(outcome: Outcome) -> list[tuple[str, str]]:
    verdict, by_source = outcome.verdict, outcome.tally.by_source
    found_after_s = verdict.silence_found_after_s
    found = "none was found" if found_after_s is None else f"{found_after_s:.3f} s"
    return [
        ("owed by the exchange", f"{verdict.owed} ids"),
        ("came to the app", ", ".join(f"{by_source[source]} {source}" for source in sorted(by_source))),
        ("silence found after", f"{found} (promised: {SILENCE_MAX_S:g} s)"),
        (
            "busiest second over REST",
            f"{verdict.rest_requests_per_s_max} requests (budget: {CONFIG.rate_limit_requests})",
        ),
        ("states entered", _counted(verdict, "states")),
        ("failures suffered", _counted(verdict, "failures")),
        ("took", f"{outcome.seconds:.1f} s"),
    ]


def _counted(verdict: Verdict, field: str) -> str:
    counts: dict[str, int] = dict(getattr(verdict, field))
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)
