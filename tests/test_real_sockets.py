"""Real sockets and a real server process: what virtual time cannot show is that the kernel and the libraries agree.

Seconds of real time each, so they are few; everything about behaviour is tested in virtual time.
"""

import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import pytest
import trio

from gapless.controller import State, Stream, Trigger, open_controller

SERVER = """
import json, trio
from gapless.simulator import ExchangeSimulator, SimulatorConfig, serve_exchange

async def main():
    exchange = ExchangeSimulator(SimulatorConfig(seed=1, rate_per_s=50.0))
    async with serve_exchange(exchange) as endpoints:
        print(json.dumps({"ws_url": endpoints.ws_url, "rest_url": endpoints.rest_url}), flush=True)
        await trio.sleep(60)

trio.run(main)
"""


@dataclass
class Server:
    process: trio.Process
    ws_url: str
    rest_url: str


@asynccontextmanager
async def server() -> AsyncIterator[Server]:
    async with trio.open_nursery() as nursery:
        start = partial(trio.run_process, stdout=subprocess.PIPE, capture_stdout=False, check=False)
        process: trio.Process = await nursery.start(start, [sys.executable, "-c", SERVER])
        assert process.stdout is not None
        line = b""
        with trio.fail_after(20):
            while not line.endswith(b"\n"):
                line += await process.stdout.receive_some()
        urls = msgspec.json.decode(line, type=dict[str, str])
        try:
            yield Server(process, urls["ws_url"], urls["rest_url"])
        finally:
            process.kill()


def open_tcp_sockets() -> int:
    """TCP sockets of this process, by the kernel's word."""
    return sum(1 for link in Path("/proc/self/fd").iterdir() if link.is_symlink() and is_tcp(link))


def is_tcp(link: Path) -> bool:
    try:
        target = str(link.readlink())
    except FileNotFoundError:
        return False
    inode = target.removeprefix("socket:[").removesuffix("]")
    return target.startswith("socket:[") and any(
        line.split()[9] == inode for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]
    )


@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="counts sockets in /proc, which only Linux has")
async def test_leaving_the_controller_while_the_server_process_is_stopped() -> None:
    """SIGSTOP: the kernel keeps the connection up and the process answers nothing, not even a close handshake."""
    async with server() as peer:
        sockets_before = open_tcp_sockets()
        streams = [Stream("ticker", "BTC/USD")]
        async with open_controller(ws_url=peer.ws_url, rest_url=peer.rest_url, streams=streams) as controller:
            with trio.fail_after(10):
                await controller.wait_for(State.CONNECTED)
            assert open_tcp_sockets() > sockets_before
            peer.process.send_signal(signal.SIGSTOP)
            await trio.sleep(0.2)
            tasks_inside = trio.lowlevel.current_statistics().tasks_living
            left_at = trio.current_time()
        assert trio.current_time() - left_at <= 0.5
        assert trio.lowlevel.current_statistics().tasks_living < tasks_inside
        assert open_tcp_sockets() == sockets_before
        peer.process.send_signal(signal.SIGCONT)


async def test_a_killed_server_process_is_noticed_at_once() -> None:
    """The kernel resets the connection: no time-out is involved."""
    async with server() as peer:
        streams = [Stream("ticker", "BTC/USD")]
        async with open_controller(ws_url=peer.ws_url, rest_url=peer.rest_url, streams=streams) as controller:
            with trio.fail_after(10):
                await controller.wait_for(State.CONNECTED)
                peer.process.kill()
                await controller.wait_for(State.REST_FALLBACK)
            assert controller.history[-1].trigger is Trigger.LINK_LOST


async def test_a_refused_port_is_a_state_not_an_error() -> None:
    """Nobody listens: the controller keeps trying and says why."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    ws_url, rest_url = f"ws://127.0.0.1:{port}/ws", f"http://127.0.0.1:{port}"
    streams = [Stream("ticker", "BTC/USD")]
    async with open_controller(ws_url=ws_url, rest_url=rest_url, streams=streams) as controller:
        with trio.fail_after(5):
            await controller.wait_for(State.REST_FALLBACK)
        assert "refused" in controller.history[0].reason
