"""``gapless simulate --venue``: a process that speaks as the venue does, on real sockets."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

PATIENCE_S = 30.0


@contextmanager
def served(*arguments: str) -> Iterator[dict[str, Any]]:
    """The ready line of a venue that ends with the block, by SIGTERM and with status 0."""
    command = [sys.executable, "-m", "gapless.cli", "simulate", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, process.communicate(timeout=PATIENCE_S)[1].decode()
            yield msgspec.json.decode(line)
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()


def refused(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "gapless.cli", "simulate", *arguments]
    run = subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=False)
    assert run.stdout == b""
    return run.returncode, run.stderr.decode()


def test_a_recording_is_served_as_the_venue_shows_it(tmp_path: Path) -> None:
    event = '{"stream":"btcusdt@trade","data":{"E":1001,"s":"BTCUSDT","t":%d,"p":"1.50","q":"2","T":1000,"m":true}}'
    files = [tmp_path / "1", tmp_path / "2"]
    for number, file in enumerate(files):
        file.write_text(f"{number * 100_000_000 + 1} {event % (77 + number)}\n")
    captures = [word for file in files for word in ("--capture", str(file))]
    with served("--venue", "binance", *captures, "--speed", "10", "--seed", "3") as ready:
        assert set(ready) == {"ws_url", "rest_url", "venue", "symbols", "seed", "replay_s"}
        assert (ready["venue"], ready["symbols"], ready["seed"], ready["replay_s"]) == ("binance", ["BTCUSDT"], 3, 0.01)
        assert ready["ws_url"].startswith("ws://127.0.0.1:")
        assert ready["ws_url"].endswith("/ws")
        rows: list[dict[str, Any]] = []
        with httpx.Client(base_url=ready["rest_url"], timeout=PATIENCE_S, trust_env=False) as client:
            while len(rows) < 2:
                rows = client.get("/api/v3/historicalTrades?symbol=BTCUSDT&fromId=77").json()
            failures = client.put("/api/v1/simulator/failures", json={"server_error": {"enabled": True}})
            assert failures.status_code == 200
            failed = client.get("/api/v3/historicalTrades?symbol=BTCUSDT")
        assert [(row["id"], row["price"], row["qty"], row["time"]) for row in rows] == [
            (77, "1.50", "2", 1000),
            (78, "1.50", "2", 1000),
        ]
        assert (failed.status_code, set(failed.json())) == (503, {"code", "msg"})


def test_a_generated_venue_reads_its_configuration(tmp_path: Path) -> None:
    file = tmp_path / "venue.toml"
    file.write_text('symbols = ["SOL-USD"]\nrate_per_s = 200.0\nseed = 9\n')
    with served("--venue", "coinbase", "--config", str(file)) as ready:
        assert (ready["venue"], ready["symbols"], ready["seed"], ready["replay_s"]) == (
            "coinbase",
            ["SOL-USD"],
            9,
            None,
        )
        with httpx.Client(base_url=ready["rest_url"], timeout=PATIENCE_S, trust_env=False) as client:
            assert [each["id"] for each in client.get("/products").json()] == ["SOL-USD"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--venue", "nosuch"], 2, "'nosuch' is not one of 'reference', 'binance', 'coinbase'"),
        (["--venue", "binance", "--speed", "2"], 2, "--speed goes with --capture"),
        (["--venue", "binance", "--capture", "/no/such/file"], 1, "/no/such/file, after line 0: expected a readable"),
        (["--venue", "coinbase", "--capture", __file__], 1, "line 1: expected <receive time in s>"),
        (["--venue", "kraken", "--capture", __file__], 1, "kraken: expected no capture"),
        (["--venue", "binance", "--config", "/no/such/file"], 1, "cannot read /no/such/file"),
    ],
)
def test_what_cannot_be_served_is_said_in_a_line(arguments: list[str], code: int, says: str) -> None:
    found, said = refused(*arguments)
    assert found == code
    assert says in said
    assert "Traceback" not in said


def test_a_reference_setting_is_none_of_a_venue(tmp_path: Path) -> None:
    file = tmp_path / "venue.toml"
    file.write_text('channels = ["trade"]\n')
    assert refused("--venue", "binance", "--config", str(file))[0] == 1
