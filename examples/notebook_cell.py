# A notebook cell. The kernel's event loop is running already, so `await` stands at the top level; the feed lives as
# long as its block, in a thread of its own, and the cell can be run again. To try it:
# gapless simulate --ws-port 8765 --rest-port 8766
from gapless.controller import MarketData, Stream, aio

WS_URL, REST_URL = "ws://127.0.0.1:8765/ws", "http://127.0.0.1:8766"

prices: list[float] = []
async with aio.open_controller(ws_url=WS_URL, rest_url=REST_URL, streams=[Stream("ticker", "BTC/USD")]) as feed:
    async for event in feed:
        if isinstance(event, MarketData):
            prices.append(event.price)
        if len(prices) == 100:
            break

print(f"{len(prices)} prices from {min(prices):,.2f} to {max(prices):,.2f}; open gaps: {feed.open_gaps or 'none'}")
