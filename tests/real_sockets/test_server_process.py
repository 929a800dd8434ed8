"""A server process that is stopped, killed, started again: what the kernel then does with its sockets is not modelled.

Seconds of real time each, so they are few; everything about behaviour is tested in virtual time.
"""

import signal
from pathlib import Path
from typing import Final

import httpx
import pytest
import trio

from gapless.controller import State, StreamReset, Trigger
from tests.kit import SESSION
from tests.real_sockets.app import app
from tests.real_sockets.books import Books
from tests.real_sockets.processes import exchange_process, unused_port

IDLE_S: Final = 1.0
QUICK: Final = {
    "ws_idle_timeout": IDLE_S,
    "heartbeat_timeout": 1.0,
    "attempt_timeout": 1.0,
    "rest_timeout": 0.5,
    "rest_fetch_interval": 0.5,
    "rate_limit_initial_backoff": 0.2,
    "rate_limit_max_backoff": 0.5,
    "circuit_breaker_pause": 0.5,
    "reconnect_max_backoff": 1.0,
    "reconnect_max_attempts": None,
}
"""Everything within a second; the machine may be slow, so nothing but the contract is measured against it."""


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
    async with exchange_process() as (process, ready):
        sockets_before = open_tcp_sockets()
        tasks_before = trio.lowlevel.current_statistics().tasks_living
        async with app(ready.ws_url, ready.rest_url) as seen:
            await seen.until_state(State.CONNECTED)
            assert open_tcp_sockets() > sockets_before
            process.send_signal(signal.SIGSTOP)
            await trio.sleep(0.2)
        assert trio.lowlevel.current_statistics().tasks_living == tasks_before
        assert open_tcp_sockets() == sockets_before


async def test_a_server_process_that_is_stopped_and_continued_loses_nothing() -> None:
    """The kernel takes connections and requests for a stopped process, and none of them is answered.

    Virtual time has silent peers, but no backlog that fills and is worked off when the process goes on.
    """
    async with exchange_process() as (process, ready), app(ready.ws_url, ready.rest_url, QUICK) as seen:
        await seen.until_state(State.CONNECTED)
        answered = seen.controller.rest_stats.succeeded

        process.send_signal(signal.SIGSTOP)
        await seen.until(lambda: bool(seen.moved(State.REST_FALLBACK)))
        silence = seen.silences[-1]
        assert silence.found_after_s <= IDLE_S + 0.1 + silence.stolen_s
        assert seen.moved(State.REST_FALLBACK)[0].trigger is Trigger.SILENCE_CONFIRMED
        # One attempt that only the kernel takes, before the process goes on.
        await seen.until(lambda: any("timed out: the handshake" in move.reason for move in seen.moves))
        assert seen.controller.rest_stats.failed > 0
        assert seen.controller.rest_stats.succeeded == answered

        process.send_signal(signal.SIGCONT)
        await seen.until_state(State.CONNECTED)
        books = Books(SESSION)
        newest = await books.read(ready.rest_url)
        await seen.until_id(ready.epoch, newest)

        assert books.broken_promises(seen.events, *State) == ()
        assert seen.lost == []


async def test_a_server_process_that_is_killed_and_started_again_is_reported_as_a_reset() -> None:
    """The kernel resets the connections of a killed process, REST's pooled ones too, and refuses new ones.

    Virtual time has resets and refusals; that old sockets do not get in the way of a new process on the same ports is
    the kernel's and the libraries' business.
    """
    ports = ("--ws-port", str(unused_port()), "--rest-port", str(unused_port()))
    books = Books(SESSION)
    async with exchange_process(*ports) as (process, old), app(old.ws_url, old.rest_url, QUICK) as seen:
        await seen.until_state(State.CONNECTED)
        await lose_every_fifth_for_good(old.rest_url)
        await seen.until(lambda: any(move.trigger is Trigger.GAP_FOUND for move in seen.moves))
        await books.read(old.rest_url)

        process.kill()
        await seen.until(lambda: bool(seen.moved(State.REST_FALLBACK)))
        lost = seen.moved(State.REST_FALLBACK)[0]
        assert lost.trigger is Trigger.LINK_LOST
        assert lost.before is not State.SILENT, "no time-out is involved"

        async with exchange_process(*ports) as (_, new):
            assert (new.ws_url, new.rest_url) == (old.ws_url, old.rest_url)
            await seen.until(lambda: bool(seen.of(StreamReset)))
            await seen.until_state(State.CONNECTED)
            newest = await books.read(new.rest_url)
            await seen.until_id(new.epoch, newest)

            assert books.broken_promises(seen.events) == ()
    (reset,) = seen.of(StreamReset)
    assert (reset.old_epoch, reset.new_epoch) == (old.epoch, new.epoch)
    *of_gaps, the_rest = seen.lost
    assert of_gaps
    assert {each.epoch for each in seen.lost} == {old.epoch}
    assert (the_rest.reason, the_rest.end_seq) == ("epoch_ended", None)


async def lose_every_fifth_for_good(rest_url: str) -> None:
    """For the session of the app alone: messages are dropped, and REST has no answer."""
    failures = {"drop": {"enabled": True, "every_nth": 5}, "server_error": {"enabled": True, "probability": 1.0}}
    async with httpx.AsyncClient(trust_env=False) as http:
        url = f"{rest_url}/api/v1/simulator/sessions/{SESSION}/failures"
        (await http.put(url, json=failures)).raise_for_status()


async def test_a_refused_port_is_a_state_not_an_error() -> None:
    """Nobody listens: the controller keeps trying and says why, in the kernel's words."""
    port = unused_port()
    async with app(f"ws://127.0.0.1:{port}/ws", f"http://127.0.0.1:{port}") as seen:
        await seen.until_state(State.REST_FALLBACK)
        assert "refused" in seen.controller.history[0].reason
