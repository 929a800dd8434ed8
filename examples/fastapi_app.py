"""One feed for all browsers, in a FastAPI app.

    GAPLESS_WS_URL=... GAPLESS_REST_URL=... uvicorn examples.fastapi_app:app --timeout-graceful-shutdown 1

Needs ``pip install fastapi uvicorn``; ``gapless simulate`` prints the two URLs. The feed is opened once, when the app
starts. Each browser gets the events from a queue of its own, as Server-Sent Events; one that reads too slowly is cut
off, and its EventSource connects again: a slow browser costs neither memory nor the others' freshness.

Where the feed fails for good, uvicorn goes on: then every browser is hung up on and told, and ``/health`` answers 503,
for whatever watches over the app to start it anew.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from fastapi import FastAPI, HTTPException, Response, status
from fastapi.responses import HTMLResponse, StreamingResponse

from gapless.controller import AnyEvent, Stream, aio

WAITING_MAX = 10_000
"""Events that wait for one browser."""
PAGE = """<!doctype html><title>BTC/USD</title><h1 id="price">...</h1><script>
const price = document.querySelector("#price"), feed = new EventSource("events");
feed.onmessage = ({data}) => {
  const event = JSON.parse(data);
  if (event.price) price.textContent = `${event.symbol} ${event.price} (${event.source})`;
};
feed.onerror = () => price.textContent = "no feed";
</script>"""

browsers: set[asyncio.Queue[str | None]] = set()


def tell_browsers(event: AnyEvent) -> None:
    message = f"data: {msgspec.json.encode(event).decode()}\n\n"
    for browser in list(browsers):
        if browser.qsize() < WAITING_MAX:
            browser.put_nowait(message)
        else:
            hang_up(browser)


def hang_up(browser: asyncio.Queue[str | None]) -> None:
    browsers.discard(browser)
    browser.put_nowait(None)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    try:
        async with aio.open_controller(
            ws_url=os.environ["GAPLESS_WS_URL"],
            rest_url=os.environ["GAPLESS_REST_URL"],
            streams=[Stream("ticker", "BTC/USD")],
            on_message=tell_browsers,
        ) as app.state.controller:
            yield
    finally:
        for browser in list(browsers):
            hang_up(browser)


app = FastAPI(lifespan=lifespan)


@app.get("/")
async def page() -> HTMLResponse:
    return HTMLResponse(PAGE)


@app.get("/health")
async def health(response: Response) -> dict[str, str | int]:
    controller: aio.AsyncioController = app.state.controller
    if controller.closed:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    state = "CLOSED" if controller.closed else controller.state.name
    return {"state": state, "live": controller.stats.live, "missing": len(controller.open_gaps)}


@app.get("/events")
async def events() -> StreamingResponse:
    if app.state.controller.closed:
        raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, "the feed has failed")

    async def stream() -> AsyncIterator[str]:
        browser: asyncio.Queue[str | None] = asyncio.Queue()
        browsers.add(browser)
        try:
            while (message := await browser.get()) is not None:
                yield message
        finally:
            browsers.discard(browser)

    return StreamingResponse(stream(), media_type="text/event-stream")
