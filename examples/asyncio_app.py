"""A feed in a plain asyncio app: python examples/asyncio_app.py WS_URL REST_URL (``gapless simulate`` prints both)."""

import asyncio
import contextlib
import sys

from gapless.controller import ContinuityLost, MarketData, Stream, aio


async def main(ws_url: str, rest_url: str) -> None:
    streams = [Stream("ticker", "BTC/USD")]
    async with aio.open_controller(ws_url=ws_url, rest_url=rest_url, streams=streams) as controller:
        async for event in controller:
            if isinstance(event, MarketData):
                print(event.symbol, event.sequence_id, event.price, event.source)
            elif isinstance(event, ContinuityLost):
                print("lost:", event.start_seq, event.end_seq, event.reason)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1], sys.argv[2]))
