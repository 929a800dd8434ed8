"""A walk through the states, in words: what a failed test prints. Pure."""

from collections.abc import Iterable, Sequence
from difflib import ndiff

from gapless.controller import State, StateChanged

MOVES_SHOWN = 12
"""Of a long walk only its end is printed; it is what explains where a controller is now."""


def shown(moves: Sequence[StateChanged]) -> str:
    """The last transitions, one a line; times count from the first of all that were recorded."""
    if not moves:
        return "  no transition was seen"
    began_at = moves[0].at
    lines = [_line(move, move.at - began_at) for move in moves[-MOVES_SHOWN:]]
    if len(moves) > MOVES_SHOWN:
        lines.insert(0, f"  ({len(moves) - MOVES_SHOWN} earlier ones)")
    return "\n".join(lines)


def _line(move: StateChanged, at_s: float) -> str:
    wait = "" if move.retry_in_s is None else f", retry in {move.retry_in_s:.1f} s"
    return f"  {at_s:+9.3f} s  {move.before.name} -> {move.after.name} by {move.trigger}: {move.reason}{wait}"


def difference(expected: Iterable[State], path: Sequence[str]) -> str:
    """Two walks side by side: ``-`` was expected and did not come, ``+`` came and was not expected."""
    return "\n".join(f"  {line}" for line in ndiff([state.name for state in expected], path) if line[0] != "?")


def first_unpassed(expected: Sequence[State], path: Sequence[str]) -> int | None:
    """Which of the expected states did not come in this order, others between them or not; None: all came."""
    at = 0
    for number, state in enumerate(expected):
        try:
            at = path.index(state.name, at) + 1
        except ValueError:
            return number
    return None
