"""More streams than one connection may carry: several controllers, which share what their venue limits."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise

from gapless.controller.config import NetworkConfig
from gapless.controller.controller import ConnectionController
from gapless.controller.exchange import Exchange
from gapless.controller.opening import open_controller
from gapless.controller.stream import Stream


def split_streams(exchange: Exchange, streams: Sequence[Stream]) -> list[list[Stream]]:
    """Parts of ``streams`` that one connection each can carry, evenly filled, in order; each stream once.

    >>> from gapless.controller.exchanges import CoinbaseExchange
    >>> streams = [Stream("matches", f"C{number}-USD") for number in range(60)]
    >>> [len(part) for part in split_streams(CoinbaseExchange(), streams)]
    [30, 30]
    """
    distinct = list(dict.fromkeys(streams))
    most = exchange.streams_max or len(distinct)
    parts = -(-len(distinct) // most) if distinct else 0
    bounds = [part * len(distinct) // parts for part in range(parts + 1)] if parts else []
    return [distinct[low:high] for low, high in pairwise(bounds)]


def parts_of(exchange: Exchange, streams: Sequence[Stream]) -> list[list[Stream]]:
    """What to open a controller for, each; where ``streams`` cannot work, one part that opening it refuses."""
    if not streams or len(set(streams)) != len(streams):
        return [list(streams)]
    return split_streams(exchange, streams)


@asynccontextmanager
async def open_controllers(
    *, exchange: Exchange, streams: Sequence[Stream], config: NetworkConfig | None = None
) -> AsyncIterator[list[ConnectionController]]:
    """Open as many controllers as the streams need connections, and run them until the block is left.

    They share the REST budget, the HTTP connections and the budget of connection attempts of their hosts. Each is
    consumed on its own, by a task each; a stream is on exactly one of them.

    Args:
        exchange: the venue's adapter, which all of them use.
        streams: what to keep whole; at least one, all different.
        config: every switch, of each controller.

    Raises:
        ConfigurationError: an argument cannot work.
    """
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(open_controller(exchange=exchange, streams=part, config=config))
            for part in parts_of(exchange, streams)
        ]
