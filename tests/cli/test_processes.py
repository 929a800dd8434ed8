"""The commands as processes, with real sockets, signals and pipes: what CliRunner and virtual time cannot show.

Seconds of real time each, so they are few.
"""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import Any

import msgspec
import pytest

from gapless.controller import AnyEvent, ContinuityLost, GapFound, MarketData, State, StateChanged

PATIENCE_S = 30.0
"""Longer than any of these processes lives on a busy machine."""

GAPLESS = (sys.executable, "-m", "gapless.cli")

Process = subprocess.Popen[bytes]


@contextmanager
def started(*arguments: str, stdout: int = subprocess.PIPE, stderr: int = subprocess.PIPE) -> Iterator[Process]:
    """A running command; killed in the end if it is still there."""
    with subprocess.Popen([*GAPLESS, *arguments], stdout=stdout, stderr=stderr) as process:
        # Whoever waits for a line of a process that hangs gets an end of file instead.
        end = Timer(PATIENCE_S, process.kill)
        end.start()
        try:
            yield process
        finally:
            end.cancel()
            process.kill()


@contextmanager
def exchange(*arguments: str) -> Iterator[tuple[Process, dict[str, Any]]]:
    with started("simulate", *arguments) as process:
        assert process.stdout is not None
        yield process, msgspec.json.decode(process.stdout.readline())


def watch(ready: dict[str, Any], *arguments: str) -> tuple[str, ...]:
    urls = ("--ws-url", ready["ws_url"], "--rest-url", ready["rest_url"])
    return ("watch", *urls, "--stream", "ticker:BTC/USD", *arguments)


def wait(process: Process) -> tuple[int, str]:
    """The exit code, and what it said on stderr."""
    assert process.stderr is not None
    stderr = process.stderr.read().decode()
    return process.wait(PATIENCE_S), stderr


def decoded(lines: list[bytes]) -> list[AnyEvent]:
    return [msgspec.json.decode(line, type=AnyEvent) for line in lines]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_simulate_says_where_it_is_and_ends_at_a_signal(number: int) -> None:
    with exchange("--seed", "7") as (process, ready):
        assert set(ready) == {"ws_url", "rest_url", "venue", "epoch", "symbols", "channels", "seed", "replay_s"}
        assert ready["ws_url"].startswith("ws://127.0.0.1:")
        assert ready["ws_url"].endswith("/ws")
        assert ready["rest_url"].startswith("http://127.0.0.1:")
        assert (ready["seed"], ready["replay_s"]) == (7, None)

        process.send_signal(number)

        assert wait(process) == (0, "")


def test_simulate_replays_a_capture(tmp_path: Path) -> None:
    frame = '{"stream":"btcusdt@trade","data":{"s":"BTCUSDT","t":%d,"p":"50000.0","q":"1.0"}}'
    file = tmp_path / "trades"
    file.write_text("".join(f"{number * 10**8} {frame % number}\n" for number in range(1, 1_001)))

    with exchange("--capture", str(file), "--speed", "10") as (_process, ready):
        assert (ready["symbols"], ready["channels"], ready["replay_s"]) == (["BTCUSDT"], ["trade"], 9.99)
        with started(*watch(ready, "--stream", "trade:BTCUSDT", "--seconds", "1.5", "--json")) as watcher:
            assert watcher.stdout is not None
            events = decoded(watcher.stdout.readlines())
            assert wait(watcher) == (0, "")

    prices = {event.price for event in events if isinstance(event, MarketData)}
    assert prices == {50_000.0}
    assert {event.symbol for event in events if isinstance(event, MarketData)} == {"BTCUSDT"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_watch_prints_all_it_has_received_before_a_signal_ends_it(number: int) -> None:
    with exchange() as (_process, ready), started(*watch(ready, "--json")) as watcher:
        assert watcher.stdout is not None
        lines = [watcher.stdout.readline() for _ in range(20)]
        watcher.send_signal(number)
        lines += watcher.stdout.readlines()

        assert wait(watcher) == (0, "")

    assert lines[-1].endswith(b"\n")
    events = decoded(lines)
    assert b"".join(lines) == msgspec.json.Encoder().encode_lines(events)
    ids = [event.sequence_id for event in events if isinstance(event, MarketData)]
    assert sorted(ids, key=lambda each: each or 0) == list(
        range(min(filter(None, ids)), len(ids) + min(filter(None, ids)))
    )
    entered = [event.after for event in events if isinstance(event, StateChanged)]
    assert entered == [State.RESYNCING, State.CONNECTED]


def test_watch_ends_quietly_when_nobody_reads_any_more() -> None:
    with exchange() as (_process, ready), started(*watch(ready, "--json")) as watcher:
        assert watcher.stdout is not None
        watcher.stdout.readline()
        watcher.stdout.close()

        assert wait(watcher) == (0, "")


def test_watch_says_that_it_cannot_write() -> None:
    with exchange() as (_process, ready):
        full = os.open("/dev/full", os.O_WRONLY)
        try:
            with started(*watch(ready, "--json"), stdout=full) as watcher:
                code, stderr = wait(watcher)
        finally:
            os.close(full)

    assert (code, stderr) == (1, "Error: cannot write to stdout: No space left on device\n")


def test_a_reader_that_does_not_read_causes_no_silence_and_no_loss(tmp_path: Path) -> None:
    """A pipe holds 64 KiB: at 2,000 data a second it is full in a fifth of a second, the buffer of 200 soon after."""
    config = tmp_path / "exchange.toml"
    config.write_text('rate_per_s = 2000.0\nsymbols = ["BTC/USD"]\nchannels = ["ticker"]\n')
    settings = ("--set", "ws_idle_timeout=0.5", "--set", "buffer_size=200")

    with exchange("--config", str(config)) as (_process, ready), started(*watch(ready, "--json", *settings)) as watcher:
        assert watcher.stdout is not None
        lines = [watcher.stdout.readline()]
        # A reader that is busy elsewhere: real time, because the pipe and the other process are real.
        time.sleep(2.5)
        deadline = time.monotonic() + PATIENCE_S
        recovered = False
        while not recovered and time.monotonic() < deadline:
            lines.append(watcher.stdout.readline())
            recovered = len(lines) > 5_000 and b'"after":"CONNECTED"' in lines[-1]
        watcher.send_signal(signal.SIGINT)
        lines += watcher.stdout.readlines()
        assert wait(watcher) == (0, "")

    events = decoded(lines)
    assert recovered
    assert any(isinstance(event, GapFound) and event.reason == "overflow" for event in events)
    assert not any(isinstance(event, ContinuityLost) for event in events)
    assert State.SILENT not in [event.after for event in events if isinstance(event, StateChanged)]
    recovery = max(index for index, event in enumerate(events) if isinstance(event, StateChanged))
    ids = [event.sequence_id for event in events[:recovery] if isinstance(event, MarketData)]
    assert len(set(ids)) == len(ids)


def test_watch_keeps_trying_where_no_server_is() -> None:
    nowhere = {"ws_url": "ws://127.0.0.1:1/ws", "rest_url": "http://127.0.0.1:1"}
    quick = ("--set", "reconnect_max_backoff=1", "--seconds", "2.5")

    with started(*watch(nowhere, *quick)) as watcher:
        assert watcher.stdout is not None
        said = watcher.stdout.read().decode()
        assert wait(watcher) == (0, "")

    assert said.count("RECONNECTING -> REST_FALLBACK by LINK_LOST (refused") >= 2
    assert "next attempt in" in said


def test_watch_fails_where_it_was_asked_to() -> None:
    nowhere = {"ws_url": "ws://127.0.0.1:1/ws", "rest_url": "http://127.0.0.1:1"}
    strict = ("--set", "reconnect_max_attempts=1", "--set", "reconnect_exhausted=raise", "--json")

    with started(*watch(nowhere, *strict)) as watcher:
        assert watcher.stdout is not None
        lines = watcher.stdout.readlines()
        code, stderr = wait(watcher)

    assert code == 1
    assert stderr.startswith("Error: 1 attempts in a row failed, the last one: refused")
    assert [msgspec.json.decode(line)["event"] for line in lines] == ["StateChanged", "ReconnectGaveUp"]


def test_watch_says_once_that_every_stream_was_rejected_and_fails_when_its_time_is_over() -> None:
    with exchange() as (_process, ready):
        urls = ("--ws-url", ready["ws_url"], "--rest-url", ready["rest_url"])
        with started("watch", *urls, "--stream", "ticker:XXX", "--seconds", "1.5", "--json") as watcher:
            assert watcher.stdout is not None
            lines = watcher.stdout.readlines()
            code, stderr = wait(watcher)

    assert msgspec.json.decode(lines[0])["event"] == "StreamRejected"
    assert stderr == (
        "Warning: every stream was rejected: ticker:XXX (unknown_symbol: there is no symbol 'XXX' in channel "
        "'ticker'); each new connection asks again\n"
    )
    assert code == 1


def test_watch_with_only_rejected_streams_goes_on_until_a_signal() -> None:
    with exchange() as (_process, ready):
        urls = ("--ws-url", ready["ws_url"], "--rest-url", ready["rest_url"])
        with started("watch", *urls, "--stream", "ticker:XXX") as watcher:
            assert watcher.stderr is not None
            assert watcher.stderr.readline().startswith(b"Warning: every stream was rejected: ticker:XXX (")
            assert watcher.poll() is None
            watcher.send_signal(signal.SIGINT)

            assert wait(watcher) == (0, "")


def test_watch_with_one_stream_taken_says_nothing_of_the_rejected_one() -> None:
    with (
        exchange() as (_process, ready),
        started(*watch(ready, "--stream", "ticker:XXX", "--seconds", "1.5")) as watcher,
    ):
        assert watcher.stdout is not None
        said = watcher.stdout.read().decode()
        assert wait(watcher) == (0, "")

    assert "rejected  ticker:XXX unknown_symbol" in said


def test_an_interrupted_demo_ends_with_one_line() -> None:
    with started("demo", "--headless", "--json") as process:
        assert process.stderr is not None
        assert any(b"CONNECTED" in line for line in process.stderr), "it ended before it was connected"
        process.send_signal(signal.SIGINT)
        interrupted_at = time.monotonic()

        code, stderr = wait(process)

    assert code == 130
    assert stderr.splitlines()[-1] == "Error: interrupted; nothing was checked"
    assert "Traceback" not in stderr
    assert time.monotonic() - interrupted_at < 5.0


def test_the_demo_draws_on_a_terminal_and_gives_it_back() -> None:
    """A pseudo-terminal: what decides between the view and lines is whether stdout is one."""
    parent, child = pty.openpty()
    try:
        with started("demo", stdout=child) as process:
            os.close(child)
            drawn = b""
            while b" CONNECTED " not in drawn:
                drawn += os.read(parent, 65_536)
            process.send_signal(signal.SIGINT)
            code, stderr = wait(process)
            drawn += os.read(parent, 65_536)
    finally:
        os.close(parent)

    assert (code, stderr) == (130, "Error: interrupted; nothing was checked\n")
    assert b"gapless demo" in drawn
    assert drawn.rindex(b"\x1b[?25h") > drawn.rindex(b"\x1b[?25l")
