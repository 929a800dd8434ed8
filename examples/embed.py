"""Embed a controller: python examples/embed.py WS_URL REST_URL (``gapless simulate`` prints both)."""

import contextlib
import sys

import trio

from gapless.controller import ContinuityLost, MarketData, Stream, open_controller


async def main(ws_url: str, rest_url: str) -> None:
    async with open_controller(ws_url=ws_url, rest_url=rest_url, streams=[Stream("ticker", "BTC/USD")]) as controller:
        async for event in controller:
            if isinstance(event, MarketData):
                print(event.symbol, event.sequence_id, event.price, event.source)
            elif isinstance(event, ContinuityLost):
                print("lost:", event.start_seq, event.end_seq, event.reason)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with contextlib.suppress(KeyboardInterrupt):
        trio.run(main, sys.argv[1], sys.argv[2])
