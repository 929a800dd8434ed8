"""The connection controller: embed :func:`open_controller`."""

from gapless.controller.callbacks import OnMessage, OnReconciliation, Reconciled, ReconciliationKind
from gapless.controller.config import NetworkConfig, load_settings
from gapless.controller.controller import ConnectionController
from gapless.controller.cursor import Cursor, StreamCursor
from gapless.controller.errors import (
    CircuitOpenError,
    ConfigurationError,
    ControllerEndedError,
    DeliveryOverflowError,
    GaplessError,
    InvalidMessageError,
    InvalidReplyError,
    LinkError,
    PeerError,
    ReconnectExhaustedError,
    RequestFailedError,
    RequestWithdrawnError,
)
from gapless.controller.events import (
    AnyEvent,
    Balance,
    BalanceUpdate,
    CircuitChanged,
    ContinuityLost,
    Event,
    GapFilled,
    GapFound,
    MarketData,
    Order,
    OrderUpdate,
    ReconnectGaveUp,
    SnapshotMissed,
    SnapshotRead,
    Source,
    StateChanged,
    StreamRejected,
    StreamReset,
    Trade,
    VenueNotice,
)
from gapless.controller.exchange import Exchange
from gapless.controller.metrics.snapshot import Metrics
from gapless.controller.opening import open_controller
from gapless.controller.priority import Priority
from gapless.controller.rate_limiter import RestRateLimiter
from gapless.controller.rest import RestStats
from gapless.controller.sequence_tracker import Gap, SequenceTracker
from gapless.controller.splitting import open_controllers, split_streams
from gapless.controller.stats import FeedStats
from gapless.controller.stream import Stream
from gapless.states import State, Trigger

__all__ = [
    "AnyEvent",
    "Balance",
    "BalanceUpdate",
    "CircuitChanged",
    "CircuitOpenError",
    "ConfigurationError",
    "ConnectionController",
    "ContinuityLost",
    "ControllerEndedError",
    "Cursor",
    "DeliveryOverflowError",
    "Event",
    "Exchange",
    "FeedStats",
    "Gap",
    "GapFilled",
    "GapFound",
    "GaplessError",
    "InvalidMessageError",
    "InvalidReplyError",
    "LinkError",
    "MarketData",
    "Metrics",
    "NetworkConfig",
    "OnMessage",
    "OnReconciliation",
    "Order",
    "OrderUpdate",
    "PeerError",
    "Priority",
    "Reconciled",
    "ReconciliationKind",
    "ReconnectExhaustedError",
    "ReconnectGaveUp",
    "RequestFailedError",
    "RequestWithdrawnError",
    "RestRateLimiter",
    "RestStats",
    "SequenceTracker",
    "SnapshotMissed",
    "SnapshotRead",
    "Source",
    "State",
    "StateChanged",
    "Stream",
    "StreamCursor",
    "StreamRejected",
    "StreamReset",
    "Trade",
    "Trigger",
    "VenueNotice",
    "load_settings",
    "open_controller",
    "open_controllers",
    "split_streams",
]
