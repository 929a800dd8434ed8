"""What the server remembers of each session: how far its market has come. Prebuilt blocks are kept here, too."""

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, urlsplit

from benchmarks import frames

PREBUILT_MAX: Final = 2_000_000
"""Messages; 380 MB. A run that asks for more ends there."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a connection is to be treated: the query of its address."""

    session_id: str
    symbols: int = 1
    count: int = 0
    rate: float = 0.0
    burst: int = 1
    large: bool = False
    deflate: bool = False
    auto: bool = False
    mute: int | None = None
    mute_all: bool = False
    skip: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, target: str) -> "Plan":
        """Read it from a request's target."""
        parts = urlsplit(target)
        # A client that builds its own query has its orders in the path.
        orders = [parts.query, *(segment for segment in parts.path.split("/") if "=" in segment)]
        query = {name: values[-1] for each in orders for name, values in parse_qs(each).items()}
        skip = (part.split(":") for part in query.get("skip", "").split(",") if part)
        return cls(
            session_id=query.get("session_id", ""),
            symbols=int(query.get("symbols", "1")),
            count=int(query.get("count", "0")),
            rate=float(query.get("rate", "0")),
            burst=int(query.get("burst", "1")),
            large=query.get("large") == "1",
            deflate=query.get("deflate") == "1",
            auto=query.get("auto") == "1",
            mute=int(query["mute"]) if "mute" in query else None,
            mute_all=query.get("mute_all") == "1",
            skip=tuple((int(after), int(ids)) for after, ids in skip),
        )


@dataclass(kw_only=True)
class Session:
    """One session's market: messages issued so far, sent or not."""

    issued: int = 0
    symbols: list[str] = field(default_factory=lambda: frames.symbols(1))
    muted: bool = False
    """Whether a connection of it was muted already: the next one is not."""
    requests: Counter[str] = field(default_factory=Counter)

    def last_id(self, symbol: str) -> int:
        """The last id issued of a symbol; 0: none yet."""
        if symbol not in self.symbols:
            return 0
        count = len(self.symbols)
        return (self.issued - self.symbols.index(symbol) + count - 1) // count


class Sessions:
    """All sessions of one server process, which is one epoch."""

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self._sessions: dict[str, Session] = {}
        self._blocks: dict[tuple[int, bool, bool], list[list[bytes]]] = {}
        self._lock = threading.Lock()

    def get(self, session_id: str) -> Session:
        """The session of this name; without a name one that nobody else sees."""
        if not session_id:
            return Session()
        return self._sessions.setdefault(session_id, Session())

    def prebuilt(self, plan: Plan, *, deflate: bool) -> list[list[bytes]]:
        """The blocks of a feed; built once, extended where a later run asks for more."""
        count = min(plan.count, PREBUILT_MAX)
        with self._lock:
            key = (plan.symbols, plan.large, deflate)
            blocks = self._blocks.get(key, [])
            step = 64 if plan.large else frames.BLOCK_MESSAGES
            if len(blocks) * step < count:
                blocks = list(frames.blocks(-(-count // step) * step, plan.symbols, large=plan.large, deflate=deflate))
                self._blocks[key] = blocks
            return blocks[: -(-count // step)]
