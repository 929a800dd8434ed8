"""What the buttons of a demo do: the simulator's failures as its HTTP interface takes them, and what is to be expected.

Every one ends by itself, by the failure's ``count`` or ``duration_s`` or by a downtime, so that the controller always
comes back to ``CONNECTED`` and nobody has to press ``behave``. A button replaces what the one before it did.

Frames are chosen by chance, never by turn: the streams of a venue come by turn as well, and every third frame of three
streams would be all of one of them, and nothing of the others.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from gapless.states import State

Failures = Mapping[str, Mapping[str, object]]
"""The body of a ``PUT .../failures``: kind -> its mode."""


class FaultButton(Struct, frozen=True, kw_only=True):
    """A button as the page gets it.

    Attributes:
        name: what ``POST /api/faults/{name}`` takes.
        label: on the button.
        help: what it does, and what to expect.
        expect: the states the controller passes, in this order, others may lie between; the last one is ``CONNECTED``.
    """

    name: str
    label: str
    help: str
    expect: list[str]


class Breakage(Struct, frozen=True, kw_only=True):
    """A button with what it does: failures for the session, or a ``POST`` of its own."""

    button: FaultButton
    failures: Failures = {}
    post: str = ""
    body: Mapping[str, object] = {}


def _breakage(
    name: str,
    label: str,
    help_: str,
    *expect: State,
    failures: Failures | None = None,
    post: str = "",
    body: Mapping[str, object] | None = None,
) -> Breakage:
    states = [each.name for each in (*expect, State.CONNECTED)]
    return Breakage(
        button=FaultButton(name=name, label=label, help=help_, expect=states),
        failures=failures or {},
        post=post,
        body=body or {},
    )


def _now(**mode: object) -> Mapping[str, object]:
    return {"enabled": True, **mode}


_CUT: Final = _now(after_messages=0, count=1)
_LOST: Final = (State.REST_FALLBACK, State.RECONNECTING, State.RESYNCING)


def breakages(quiet_symbol: str) -> Sequence[Breakage]:
    """All of them; ``quiet_symbol`` is the one that falls silent alone."""
    return (
        _breakage(
            "silent",
            "Go silent",
            "The socket stays open and says nothing more, not even PONG. The silence is found within the idle window.",
            State.SILENT,
            *_LOST,
            failures={"silent_connection": _CUT},
        ),
        _breakage(
            "drop",
            "Drop frames",
            "A third of all frames is lost for 4 s. Each hole is a gap that is filled over REST.",
            State.RESYNCING,
            failures={"drop": _now(probability=1 / 3, duration_s=4)},
        ),
        _breakage(
            "disconnect",
            "Disconnect",
            "The socket is cut without a word. What was missed meanwhile is filled.",
            *_LOST,
            failures={"disconnect": _CUT},
        ),
        _breakage(
            "refuse",
            "Refuse connections",
            "The socket is cut and new ones are refused for 6 s. Data keeps coming over REST.",
            *_LOST,
            failures={"disconnect": _CUT, "refuse": _now(duration_s=6)},
        ),
        _breakage(
            "throttle",
            "429 on REST",
            "A run of frames is lost, and REST answers 429, Retry-After: 2, twice. The gap waits for it.",
            State.RESYNCING,
            failures={
                "drop": _now(probability=1.0, count=20),
                "rate_limited": _now(count=2, retry_after_s=2),
            },
        ),
        _breakage(
            "rest_down",
            "REST down",
            "A run of frames is lost while REST answers 503 for 5 s. Live data goes on, the gap waits.",
            State.RESYNCING,
            failures={"drop": _now(probability=1.0, count=20), "server_error": _now(duration_s=5)},
        ),
        _breakage(
            "blackout",
            "Refuse and 429",
            "No socket for 6 s, and REST answers 429 at first: nothing comes at all, then all of it.",
            *_LOST,
            failures={
                "disconnect": _CUT,
                "refuse": _now(duration_s=6),
                "rate_limited": _now(count=3, retry_after_s=1),
            },
        ),
        _breakage(
            "restart",
            "Restart",
            "The exchange is down for 3 s and comes back with ids that count from 1. What it forgot is reported lost.",
            *_LOST,
            post="restart",
            body={"downtime_s": 3.0},
        ),
        _breakage(
            "stall",
            "Stall the handshake",
            "The socket is cut; the next connection is accepted and never answered. The attempt is given up in time.",
            *_LOST,
            failures={"disconnect": _CUT, "stalled_handshake": _now(count=1)},
        ),
        _breakage(
            "symbol_silent",
            "One symbol silent",
            f"{quiet_symbol} says nothing more while the others go on. REST proves it, and it is subscribed anew.",
            State.RESYNCING,
            failures={"symbol_silent": _now(after_messages=0, symbols=[quiet_symbol], count=2, until="resubscribe")},
        ),
        _breakage(
            "shuffle",
            "Reorder and repeat",
            "For 5 s frames come twice and out of order. The app sees each id once.",
            failures={
                "reorder": _now(probability=0.2, distance=2, duration_s=5),
                "duplicate": _now(probability=0.3, duration_s=5),
            },
        ),
        _breakage(
            "acknowledged",
            "Acknowledge, then silence",
            "No data comes any more; the next connection acknowledges everything, and says nothing either.",
            State.SILENT,
            *_LOST[:2],
            State.SILENT,
            *_LOST,
            failures={"acknowledged_silent": _now(count=2)},
        ),
        _breakage(
            "garbage",
            "Corrupt frames",
            "For 4 s one frame in ten is no message at all. It is skipped, and what it carried is filled.",
            State.RESYNCING,
            failures={"corrupt": _now(probability=0.1, duration_s=4)},
        ),
        _breakage(
            "goodbye",
            "Say goodbye",
            "The exchange announces maintenance and closes; it asks for 3 s until the next attempt, and gets them.",
            *_LOST,
            post="goodbye",
            body={"reason": "maintenance", "retry_after_s": 3.0},
        ),
        _breakage("behave", "Behave", "Every failure is switched off."),
    )
