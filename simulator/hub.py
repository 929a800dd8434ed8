"""Who is connected, and who hears what. Plain dictionaries as ordered sets: the order of delivery is reproducible."""

from collections import OrderedDict

import trio

from gapless.simulator.messages import Frame, StreamKey
from gapless.simulator.session import Session

SESSION_ID_MAX = 128
"""Longest session id; it is kept in logs and tables."""
SESSION_IDS_MAX = 10_000
"""Session ids whose connections are numbered; the one longest away starts from 1 again."""


class Hub:
    """The open sockets, the sessions among them that were welcomed, and their subscriptions."""

    def __init__(self) -> None:
        self._sockets: dict[trio.CancelScope, None] = {}
        self._sessions: dict[Session, None] = {}
        self._listeners: dict[StreamKey, dict[Session, None]] = {}
        self._connections: OrderedDict[str, int] = OrderedDict()
        self._unnamed = 0

    @property
    def sockets(self) -> int:
        """Open connections, handshakes included."""
        return len(self._sockets)

    @property
    def sessions(self) -> tuple[Session, ...]:
        """Connections that were welcomed, oldest first."""
        return tuple(self._sessions)

    def of(self, session_id: str | None) -> tuple[Session, ...]:
        """The connections of one session id, or all where it is None."""
        return tuple(s for s in self._sessions if session_id is None or s.session_id == session_id)

    def open_socket(self, scope: trio.CancelScope) -> None:
        """A connection was accepted; cancelling ``scope`` ends it."""
        self._sockets[scope] = None

    def close_socket(self, scope: trio.CancelScope) -> None:
        """It is gone."""
        self._sockets.pop(scope, None)

    def name_session(self) -> str:
        """An id for a client that brought none."""
        self._unnamed += 1
        return f"session-{self._unnamed}"

    def number_connection(self, session_id: str) -> int:
        """The how-manieth connection of this session id is beginning."""
        number = self._connections.get(session_id, 0) + 1
        self._connections[session_id] = number
        self._connections.move_to_end(session_id)
        if len(self._connections) > SESSION_IDS_MAX:
            self._connections.popitem(last=False)
        return number

    def join(self, session: Session) -> None:
        """A connection is about to be welcomed."""
        self._sessions[session] = None

    def leave(self, session: Session) -> None:
        """It is gone, with its subscriptions. Nothing happens if it is not here."""
        self._sessions.pop(session, None)
        for key in list(session.marks):
            self.mute(session, key)

    def listen(self, session: Session, key: StreamKey, mark: int) -> None:
        """From now on ``session`` hears ``key``."""
        session.marks[key] = mark
        self._listeners.setdefault(key, {})[session] = None

    def mute(self, session: Session, key: StreamKey) -> None:
        """``session`` hears ``key`` no more. Nothing happens if it did not."""
        session.marks.pop(key, None)
        self._listeners.get(key, {}).pop(session, None)

    def listeners(self, key: StreamKey) -> tuple[Session, ...]:
        """Who hears ``key``, in the order they came."""
        return tuple(self._listeners.get(key, ()))

    def broadcast(self, key: StreamKey, frame: Frame) -> None:
        """Queue ``frame`` for everybody who hears ``key``."""
        listeners = self._listeners.get(key)
        if listeners:
            for session in tuple(listeners):
                session.send(frame)

    def drop_all(self) -> None:
        """Drop every socket at once; whoever is still in a handshake too."""
        for session in self.sessions:
            self.leave(session)
        for scope in tuple(self._sockets):
            scope.cancel()
