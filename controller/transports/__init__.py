"""The seam between a socket library and the link: a connection hands over batches of frames."""

from gapless.controller.transports.base import Connection, PushConnection, Transport
from gapless.controller.transports.choice import transport_of
from gapless.controller.transports.trio_websocket import TrioWebsocketTransport
from gapless.controller.transports.wire import WireTransport

__all__ = ["Connection", "PushConnection", "Transport", "TrioWebsocketTransport", "WireTransport", "transport_of"]
