"""The committed renderings: write them, and say which no longer show the tables."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from gapless.diagrams.dot import dot
from gapless.diagrams.images import digest, png, png_digest, svg, svg_digest
from gapless.diagrams.mermaid import mermaid
from gapless.states import ACTIVITIES, TABLE, ActivityTable, TransitionTable

COMMITTED: Final = Path(__file__).parent / "rendered"
"""Where the renderings of the shipped tables are; part of the installed package."""

RENDERINGS: Final[Mapping[str, Callable[[TransitionTable, ActivityTable], str | bytes]]] = {
    "states.mmd": mermaid,
    "states.dot": dot,
    "states.svg": svg,
    "states.png": png,
}
"""File name -> what renders it."""


def write_all(
    directory: Path = COMMITTED, table: TransitionTable = TABLE, activities: ActivityTable = ACTIVITIES
) -> list[Path]:
    """Render every file anew into ``directory``, which is made if need be. Nothing is written if one cannot be drawn.

    Raises:
        DrawingError: pygraphviz is not installed, or failed.
        OSError: a file cannot be written.
    """
    drawn = {directory / name: _as_bytes(render(table, activities)) for name, render in RENDERINGS.items()}
    directory.mkdir(parents=True, exist_ok=True)
    for path, content in drawn.items():
        path.write_bytes(content)
    return list(drawn)


def stale(
    directory: Path = COMMITTED, table: TransitionTable = TABLE, activities: ActivityTable = ACTIVITIES
) -> list[str]:
    """One line, ``name: reason``, for each file in ``directory`` that does not show the tables; empty if all do.

    Text is compared byte for byte, drawings by the digest of the DOT they were drawn from, so that neither pygraphviz
    nor any font is needed.

    Raises:
        OSError: a file is there but cannot be read.
    """
    text = dot(table, activities)
    checks: Mapping[str, Callable[[bytes], str | None]] = {
        "states.mmd": partial(_text_differs, mermaid(table, activities)),
        "states.dot": partial(_text_differs, text),
        "states.svg": lambda found: _digest_differs(svg_digest(found.decode(errors="replace")), text),
        "states.png": lambda found: _digest_differs(png_digest(found), text),
    }
    reasons = {name: _read_and_check(directory / name, check) for name, check in checks.items()}
    return [f"{name}: {reason}" for name, reason in reasons.items() if reason is not None]


def _read_and_check(path: Path, check: Callable[[bytes], str | None]) -> str | None:
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        return "missing"
    return check(found)


def _text_differs(expected: str, found: bytes) -> str | None:
    return None if found == expected.encode() else "differs from what the tables say"


def _digest_differs(carried: str | None, text: str) -> str | None:
    if carried is None:
        return "carries no digest, or is cut short"
    return None if carried == digest(text) else "was drawn from other tables or another layout"


def _as_bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content
