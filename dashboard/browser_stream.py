"""A browser's connection as anycorn wants it: a trio stream with a deadline on each send, and what it asks for."""

import socket
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import anyio
import anyio.abc
import trio
from loguru import logger

_READ_BYTES: Final = 65_536


class BrowserStream(anyio.abc.SocketStream):
    """One connection.

    Attributes:
        requests: whole requests it has sent.
        under_way: how many of them are being answered.
    """

    def __init__(self, stream: trio.SocketStream, send_timeout_s: float) -> None:
        self._stream = stream
        self._send_timeout_s = send_timeout_s
        self.requests = 0
        self.under_way = 0

    __hash__ = object.__hash__

    @property
    def _raw_socket(self) -> socket.socket:
        return cast("socket.socket", self._stream.socket)

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """The socket, for anycorn to ask who is there. It must not send files past us: there are none to send."""
        return {anyio.abc.SocketAttribute.raw_socket: lambda: self._raw_socket}

    async def receive(self, max_bytes: int = _READ_BYTES) -> bytes:
        """What came.

        Raises:
            anyio.EndOfStream: the peer is done.
        """
        with _In_anyios_words():
            data = await self._stream.receive_some(max_bytes)
        if not data:
            raise anyio.EndOfStream
        return bytes(data)

    async def send(self, item: bytes) -> None:
        """Send it all, within the deadline; a peer that takes nothing for so long is cut off."""
        with _In_anyios_words(), trio.move_on_after(self._send_timeout_s) as patience:
            await self._stream.send_all(item)
        if patience.cancelled_caught:
            logger.info("a browser took nothing for {} s and is given up", self._send_timeout_s)
            self.cut()
            raise anyio.BrokenResourceError

    async def send_eof(self) -> None:
        """Say that nothing more comes."""
        with _In_anyios_words():
            await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close."""
        await self._stream.aclose()

    def cut(self) -> None:
        """Close now; whoever waits on it is woken."""
        self._stream.socket.close()


class _In_anyios_words:  # noqa: N801 (a context manager reads as a phrase)
    """trio's errors as anyio's."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        match error:
            case trio.BrokenResourceError():
                raise anyio.BrokenResourceError from error
            case trio.ClosedResourceError():
                raise anyio.ClosedResourceError from error
            case trio.BusyResourceError():
                raise anyio.BusyResourceError("using") from error
