"""The names of everything that can happen: states, triggers, activities."""

from enum import Enum, StrEnum, unique


@unique
class State(Enum):
    """Where a controller is. Exactly one at a time."""

    RECONNECTING = "RECONNECTING"
    """One attempt is in flight: dial, handshake, subscribe, wait for the first data. The initial state."""
    RESYNCING = "RESYNCING"
    """The link is good; known gaps are being filled and account snapshots read."""
    CONNECTED = "CONNECTED"
    """The link is good and no stream has a known gap."""
    SILENT = "SILENT"
    """The socket is open but has said nothing for too long: the silence is being verified."""
    REST_FALLBACK = "REST_FALLBACK"
    """No socket: collecting over REST while the backoff before the next attempt runs."""


@unique
class Trigger(StrEnum):
    """What can move a controller from one state to another."""

    DATA_FLOWS = "DATA_FLOWS"
    LINK_LOST = "LINK_LOST"
    IDLE = "IDLE"
    PONG_OVERDUE = "PONG_OVERDUE"
    MARKET_QUIET = "MARKET_QUIET"
    SILENCE_CONFIRMED = "SILENCE_CONFIRMED"
    GAP_FOUND = "GAP_FOUND"
    RESYNCED = "RESYNCED"
    RETRY_DUE = "RETRY_DUE"
    RECONNECT_REQUESTED = "RECONNECT_REQUESTED"
    ROTATED = "ROTATED"


@unique
class Activity(Enum):
    """What a state keeps running. Each is one short-lived task with a lease of its own."""

    LINK = "LINK"
    """Dials, subscribes and reads; owns the socket."""
    HEARTBEAT = "HEARTBEAT"
    """Sends PINGs and watches for overdue PONGs."""
    IDLE_WATCH = "IDLE_WATCH"
    """Notices when no market data came for the idle window."""
    SILENCE_VERIFIER = "SILENCE_VERIFIER"
    """Tells a dead socket from a quiet market."""
    FETCH_LOOP = "FETCH_LOOP"
    """Collects over REST while live data does not flow."""
    RECONCILER = "RECONCILER"
    """Fills known gaps over REST and reads account snapshots."""
    BACKOFF = "BACKOFF"
    """Waits out the delay before the next attempt."""
