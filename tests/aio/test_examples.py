"""The examples for asyncio apps run, against an exchange on loopback."""

import ast
import asyncio
import inspect
import json
import re
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from importlib import util
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

import httpx
import pytest

from gapless.controller import AnyEvent, State
from tests.aio.kit import PATIENCE_S, run, until, until_no_thread, venue

uvicorn = pytest.importorskip("uvicorn", reason="the extra `fastapi` is not installed")
ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "examples"
GUIDE = ROOT / "docs" / "asyncio.md"


def example(name: str) -> ModuleType:
    spec = util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


Main = Callable[[str, str], Awaitable[None]]


def main_of_the_guide() -> Main:
    (block,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    namespace: dict[str, Main] = {"__name__": "guide"}  # type: ignore[dict-item]
    exec(compile(block, "docs/asyncio.md", "exec"), namespace)  # noqa: S102  # our own guide
    return namespace["main"]


def main_of_the_example() -> Main:
    main: Main = example("asyncio_app").main
    return main


@pytest.mark.parametrize("load", [main_of_the_guide, main_of_the_example])
def test_the_asyncio_app_prints_the_feed(load: Callable[[], Main], capsys: pytest.CaptureFixture[str]) -> None:
    main = load()
    lines: list[str] = []

    async def watch() -> None:
        app = asyncio.ensure_future(main(v.ws_url, v.rest_url))
        while len(lines) < 40:
            lines.extend(capsys.readouterr().out.splitlines())
            await asyncio.sleep(0.01)
        app.cancel()
        with pytest.raises(asyncio.CancelledError):
            await app

    with venue(rate_per_s=200) as v:
        run(watch)
    ids = sorted(int(line.split()[1]) for line in lines)
    assert ids == list(range(ids[0], ids[0] + len(ids)))


def cell(ws_url: str, rest_url: str) -> CodeType:
    """The notebook's cell, compiled as a kernel does it, with the addresses of a test."""
    text = (EXAMPLES / "notebook_cell.py").read_text()
    for line in text.splitlines():
        if line.startswith("WS_URL, REST_URL = "):
            text = text.replace(line, f"WS_URL, REST_URL = {ws_url!r}, {rest_url!r}")
    assert ws_url in text
    code: CodeType = compile(text, "notebook_cell.py", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return code


def test_the_cell_of_a_notebook_runs_in_a_running_loop_twice(capsys: pytest.CaptureFixture[str]) -> None:
    async def kernel() -> None:
        namespace: dict[str, object] = {}
        for _ in range(2):
            run_cell = FunctionType(cell(v.ws_url, v.rest_url), namespace)()
            assert inspect.iscoroutine(run_cell)
            await run_cell

    with venue(rate_per_s=1_000) as v:
        run(kernel)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("100 prices from ") and line.endswith("open gaps: none") for line in lines)


@contextmanager
def served(app: object) -> Iterator[str]:
    """An ASGI app on a real uvicorn."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, lifespan="on", log_level="error", timeout_graceful_shutdown=1, ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


def client_of(url: str) -> httpx.AsyncClient:
    """Without certificates, which take longer than all the rest."""
    return httpx.AsyncClient(base_url=url, trust_env=False, verify=False)  # noqa: S501  # plain HTTP on loopback


async def told(url: str, count: int) -> list[int]:
    """The sequence ids of the first ``count`` market data that a browser gets."""
    ids: list[int] = []
    async with (
        client_of(url) as client,
        client.stream("GET", "/events") as reply,
    ):
        assert reply.headers["content-type"].startswith("text/event-stream")
        async for line in reply.aiter_lines():
            if line.startswith("data: "):
                event = json.loads(line.removeprefix("data: "))
                if "price" in event:
                    ids.append(event["sequence_id"])
            if len(ids) == count:
                break
    return sorted(ids)


def test_the_fastapi_app_streams_one_feed_to_all_browsers(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fastapi")

    async def browse() -> None:
        async with client_of(url) as client:
            assert "EventSource" in (await client.get("/")).text
            await until(lambda: module.app.state.controller.state is State.CONNECTED)
            for ids in await asyncio.gather(told(url, 50), told(url, 50), told(url, 50)):
                assert ids == list(range(ids[0], ids[0] + 50))
            assert (await client.get("/health")).json()["state"] == "CONNECTED"
            await until(lambda: not module.browsers)

    with venue(rate_per_s=500) as v:
        monkeypatch.setenv("GAPLESS_WS_URL", v.ws_url)
        monkeypatch.setenv("GAPLESS_REST_URL", v.rest_url)
        module = example("fastapi_app")
        with served(module.app) as url:
            asyncio.run(asyncio.wait_for(browse(), PATIENCE_S))
            assert len(v.do(lambda: list(v.exchange.handshakes))) == 1
    until_no_thread()


def test_where_the_feed_fails_the_fastapi_app_hangs_up_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """uvicorn goes on; nobody must wait for events that never come."""
    pytest.importorskip("fastapi")

    async def browse() -> None:
        async with client_of(url) as client:
            assert len(await told(url, 5)) == 5
            async with client.stream("GET", "/events") as reply:
                failing.set()
                async for _ in reply.aiter_lines():
                    continue
            health = await client.get("/health")
            assert (health.status_code, health.json()["state"]) == (503, "CLOSED")
            assert (await client.get("/events")).status_code == 503
            assert not module.browsers

    with venue(rate_per_s=500) as v:
        monkeypatch.setenv("GAPLESS_WS_URL", v.ws_url)
        monkeypatch.setenv("GAPLESS_REST_URL", v.rest_url)
        module, failing = example("fastapi_app"), threading.Event()
        tell_browsers = module.tell_browsers

        def tell_until_it_fails(event: AnyEvent) -> None:
            assert not failing.is_set(), "a mistake in the callback"
            tell_browsers(event)

        monkeypatch.setattr(module, "tell_browsers", tell_until_it_fails)
        with served(module.app) as url:
            asyncio.run(asyncio.wait_for(browse(), PATIENCE_S))
    until_no_thread()


def test_links_of_the_guide_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", GUIDE.read_text()):
        assert (GUIDE.parent / target).exists(), target
