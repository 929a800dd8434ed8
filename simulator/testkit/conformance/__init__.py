"""A conformance test for adapters: does it decode, classify, subscribe, fill and limit as its venue does?

Write down what the venue sends and what that means (:class:`AdapterExamples`), and let :func:`check_adapter` hold the
adapter against it. What no example shows, it tries by itself: thousands of broken frames and replies, the same for the
same seed. ``docs/adapters.md`` tells the rest.
"""

from gapless.controller.exchange import Exchange
from gapless.simulator.testkit.conformance.declarations import check_coverage, check_declarations
from gapless.simulator.testkit.conformance.dialogue import check_dialogue
from gapless.simulator.testkit.conformance.examples import (
    AdapterExamples,
    Expect,
    LiveRun,
    PageExample,
    SnapshotExample,
    rest_reply,
)
from gapless.simulator.testkit.conformance.findings import ConformanceError, Findings
from gapless.simulator.testkit.conformance.frames import (
    all_frames,
    check_frames,
    check_mutations,
    check_purity,
    meanings,
)
from gapless.simulator.testkit.conformance.history import check_history
from gapless.simulator.testkit.conformance.replies import check_replies

__all__ = [
    "AdapterExamples",
    "ConformanceError",
    "Expect",
    "Findings",
    "LiveRun",
    "PageExample",
    "SnapshotExample",
    "check_adapter",
    "rest_reply",
]


def check_adapter(exchange: Exchange, examples: AdapterExamples) -> Findings:
    """Hold an adapter against its venue.

    >>> check_adapter(LindenExchange(ws_url=..., rest_url=...), LINDEN).assert_ok()  # doctest: +SKIP

    Returns:
        Everything that is wrong, at once, and how much was tried. Nothing is raised for what the adapter does.

    Raises:
        ValueError: there are no examples to hold it against.
    """
    if not examples.streams or not examples.frames:
        raise ValueError("expected examples with at least one stream and one frame")
    findings = Findings()
    first = meanings(exchange, all_frames(examples))
    check_declarations(exchange, examples, findings)
    check_frames(exchange, examples, findings)
    check_dialogue(exchange, examples, findings)
    check_history(exchange, examples, findings)
    check_replies(exchange, examples, findings)
    check_purity(exchange, examples, first, findings)
    check_mutations(exchange, examples, findings)
    check_coverage(exchange, examples, findings)
    return findings
