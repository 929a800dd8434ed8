"""Processes of the command line, read line by line from a trio test; killed in the end, stopped or not."""

import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from random import SystemRandom
from typing import Final

import msgspec
import trio

from gapless.controller import AnyEvent
from tests.kit import TICKER
from tests.real_sockets.seen import PATIENCE_S, Seen

GAPLESS: Final = (sys.executable, "-m", "gapless.cli")
_PORTS: Final = range(20_000, 30_000)
"""Below what the kernel hands out: a server that is gone for a while finds its port free when it comes back."""


class Lines:
    """What a process prints, one line at a time."""

    def __init__(self, process: trio.Process) -> None:
        assert process.stdout is not None
        self._stdout = process.stdout
        self._begun = b""

    async def next(self) -> bytes:
        """The next line, without its end; nothing once the process has closed its stdout."""
        while b"\n" not in self._begun:
            more = await self._stdout.receive_some()
            if not more:
                return b""
            self._begun += more
        line, _, self._begun = self._begun.partition(b"\n")
        return line


@asynccontextmanager
async def started(*command: str, within: Sequence[str] = ()) -> AsyncIterator[trio.Process]:
    """A running command, ``within`` what is put before it."""
    async with trio.open_nursery() as nursery:
        start = partial(
            trio.run_process, stdin=subprocess.PIPE, stdout=subprocess.PIPE, capture_stdout=False, check=False
        )
        process: trio.Process = await nursery.start(start, [*within, *command])
        try:
            yield process
        finally:
            process.kill()


class Ready(msgspec.Struct, frozen=True):
    """The line with which ``gapless simulate`` says where it is."""

    ws_url: str
    rest_url: str
    epoch: str


@asynccontextmanager
async def exchange_process(*arguments: str, within: Sequence[str] = ()) -> AsyncIterator[tuple[trio.Process, Ready]]:
    """``gapless simulate`` in a process of its own, and where it is."""
    async with started(*GAPLESS, "simulate", *arguments, within=within) as process:
        with trio.fail_after(PATIENCE_S):
            line = await Lines(process).next()
        yield process, msgspec.json.decode(line, type=Ready)


class Watcher(Seen):
    """``gapless watch --json`` in a process of its own."""

    def __init__(self, process: trio.Process) -> None:
        super().__init__()
        self.process = process

    async def read(self) -> None:
        """Read what it prints until it ends."""
        lines, decoder = Lines(self.process), msgspec.json.Decoder(AnyEvent)
        while line := await lines.next():
            self.record(decoder.decode(line))


@asynccontextmanager
async def watching(
    ws_url: str, rest_url: str, session_id: str, settings: Mapping[str, float], *, within: Sequence[str] = ()
) -> AsyncIterator[Watcher]:
    """A client in a process of its own."""
    command = [*GAPLESS, "watch", "--ws-url", ws_url, "--rest-url", rest_url, "--stream", str(TICKER), "--json"]
    chosen = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    async with started(*command, "--session-id", session_id, *chosen, within=within) as process:
        watcher = Watcher(process)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watcher.read)
            yield watcher
            nursery.cancel_scope.cancel()


def unused_port() -> int:
    """A port of loopback that nobody has, and that the kernel gives to nobody by itself."""
    random = SystemRandom()
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
