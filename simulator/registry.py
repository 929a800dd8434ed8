"""Every failure of sockets and of REST, in the order a message or a request passes them."""

from gapless.simulator.garble import Corrupt, WrongTypes
from gapless.simulator.lateness import Delay, Flapping, SymbolSilent
from gapless.simulator.rest_garble import CutReply, SlowReply, StaleReply, WrongReply
from gapless.simulator.rest_strategies import RateLimited, ServerError
from gapless.simulator.seams import RestStrategy, SocketStrategy
from gapless.simulator.strategies import AcknowledgedSilent, Disconnect, Drop, Duplicate, PongOnly, Reorder, Silent

SOCKET_STRATEGIES: tuple[type[SocketStrategy], ...] = (
    Drop,
    Duplicate,
    Reorder,
    WrongTypes,
    Corrupt,
    Delay,
    SymbolSilent,
    AcknowledgedSilent,
    PongOnly,
    Silent,
    Disconnect,
    Flapping,
)
"""First what happens to single messages, then what ends them all."""

REST_STRATEGIES: tuple[type[RestStrategy], ...] = (
    RateLimited,
    ServerError,
    SlowReply,
    CutReply,
    WrongReply,
    StaleReply,
)
"""Limits stand before whatever else goes wrong."""
