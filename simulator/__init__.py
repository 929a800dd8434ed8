"""A trio exchange anyone can run: WebSocket, REST, a seeded market, and failures to switch on.

>>> import trio
>>> async def main() -> int:
...     exchange = ExchangeSimulator(SimulatorConfig(symbols=("BTC/USD",), rate_per_s=0))
...     async with serve_exchange(exchange) as endpoints:
...         assert endpoints.ws_url.startswith("ws://127.0.0.1:")
...         return exchange.publish("ticker", "BTC/USD", price=50_000.0)
>>> trio.run(main)
1
"""

from gapless.simulator.capture_file import CaptureError
from gapless.simulator.config import SimulatorConfig
from gapless.simulator.exchange import ExchangeSimulator
from gapless.simulator.failure_modes import (
    ClockSkewMode,
    CorruptMode,
    DelayMode,
    EvictedMode,
    FailureMode,
    FailuresConfig,
    FlappingMode,
    Mode,
    PingFloodMode,
    RateLimitMode,
    RefuseMode,
    RejectMode,
    ReorderMode,
    RestartMode,
    RestMode,
    SelectMode,
    ServerErrorMode,
    SlowReplyMode,
    StaleReplyMode,
    SymbolSilentMode,
    WrongReplyMode,
    WrongTypesMode,
)
from gapless.simulator.messages import Balance, Order, PricePoint, StreamKey
from gapless.simulator.records import HandshakeRecord, IssuedLog, RequestRecord, SubscriptionRecord
from gapless.simulator.replay import Replay, Trade, read_trades
from gapless.simulator.serve import Endpoints, serve_exchange
from gapless.simulator.settings import SettingsError
from gapless.simulator.strategies import SilentConnectionStrategy

__all__ = [
    "Balance",
    "CaptureError",
    "ClockSkewMode",
    "CorruptMode",
    "DelayMode",
    "Endpoints",
    "EvictedMode",
    "ExchangeSimulator",
    "FailureMode",
    "FailuresConfig",
    "FlappingMode",
    "HandshakeRecord",
    "IssuedLog",
    "Mode",
    "Order",
    "PingFloodMode",
    "PricePoint",
    "RateLimitMode",
    "RefuseMode",
    "RejectMode",
    "ReorderMode",
    "Replay",
    "RequestRecord",
    "RestMode",
    "RestartMode",
    "SelectMode",
    "ServerErrorMode",
    "SettingsError",
    "SilentConnectionStrategy",
    "SimulatorConfig",
    "SlowReplyMode",
    "StaleReplyMode",
    "StreamKey",
    "SubscriptionRecord",
    "SymbolSilentMode",
    "Trade",
    "WrongReplyMode",
    "WrongTypesMode",
    "read_trades",
    "serve_exchange",
]
