"""Which transport a setting names."""

from gapless.controller.config import NetworkConfig
from gapless.controller.transports.base import Transport
from gapless.controller.transports.trio_websocket import TrioWebsocketTransport
from gapless.controller.transports.wire import WireTransport


def transport_of(config: NetworkConfig) -> Transport:
    """The transport that ``config.transport`` names, with the default TLS context."""
    kind = WireTransport if config.transport == "wire" else TrioWebsocketTransport
    return kind(message_size_max=config.message_size_max)
