"""The default transport: what the peer's answer to the handshake asks for."""

from email.utils import formatdate
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from gapless.controller.errors import LinkError
from gapless.controller.transports import TrioWebsocketTransport
from gapless.simulator.network import VirtualNetwork

VENUE_TIME_S = 1_767_225_600.0
"""What the venue's clock shows, Unix seconds; years away from the clock of the machine that runs the test."""


async def refused_with(*headers: str) -> LinkError:
    """Dial a peer that answers the handshake with 503 and these headers."""

    async def refuse(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all("\r\n".join(("HTTP/1.1 503 Busy", *headers, "Content-Length: 0", "", "")).encode())

    with VirtualNetwork().installed():
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(partial(trio.serve_tcp, refuse, 0, host="127.0.0.1"))
            transport = TrioWebsocketTransport(message_size_max=1_024)
            with pytest.raises(LinkError, match="refused: HTTP 503") as caught:
                async with transport.connect(f"ws://127.0.0.1:{listeners[0].socket.getsockname()[1]}/ws"):
                    raise AssertionError("the peer refused")
            nursery.cancel_scope.cancel()
    return caught.value


async def test_retry_after_in_seconds(autojump_clock: MockClock) -> None:
    error = await refused_with("Retry-After: 20")
    assert error.retry_after_s == 20.0


async def test_a_date_is_measured_by_the_clock_of_the_peer_that_wrote_it(autojump_clock: MockClock) -> None:
    date, retry_at = (formatdate(at, usegmt=True) for at in (VENUE_TIME_S, VENUE_TIME_S + 300))
    error = await refused_with(f"Date: {date}", f"Retry-After: {retry_at}")
    assert error.retry_after_s == 300.0


@pytest.mark.parametrize("headers", [(), ("Retry-After: soon",), ("Retry-After: \xff",), ("Date: x", "Retry-After: x")])
async def test_what_asks_for_nothing_is_no_floor(headers: tuple[str, ...], autojump_clock: MockClock) -> None:
    error = await refused_with(*headers)
    assert error.retry_after_s == 0.0
