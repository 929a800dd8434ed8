"""Every failure at random: ``gapless watch`` against ``gapless simulate`` for minutes, then the books are compared.

Two processes and this one. This one switches failures over the simulator's control API, drawn by a seed: each for a few
seconds, several at a time, one after the other, so that each kind happens. Then all are switched off, the feed comes to
rest, and every id the exchange owes is looked for in what the watch has printed: delivered once, or reported lost.

    python benchmarks/soak.py --seconds 300 --seed 1
"""

import argparse
import json
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx

SYMBOLS: Final = ("BTC/USD", "ETH/USD", "SOL/USD")
SESSION: Final = "soak"
SETTLE_S: Final = 40.0
"""Long enough for a silence that has just begun to be found, judged, and everything to be fetched."""

Mode = dict[str, Any]

KINDS: Final[dict[str, Mode]] = {
    "silent_connection": {"after_messages": 30, "count": 1},
    "acknowledged_silent": {"count": 1},
    "pong_only": {"after_messages": 30, "count": 1},
    "drop": {"probability": 0.05},
    "duplicate": {"probability": 0.05},
    "reorder": {"probability": 0.05, "distance": 3},
    "delay": {"delay_s": 0.3, "jitter_s": 0.3},
    "symbol_silent": {"symbols": ["ETH/USD"], "after_messages": 20},
    "corrupt": {"probability": 0.03},
    "wrong_types": {"probability": 0.03},
    "ping_flood": {"pings_per_s": 200},
    "reject": {"symbols": ["ETH/USD"]},
    "flapping": {"up_min_s": 0.5, "up_max_s": 4.0},
    "disconnect": {"after_messages": 60},
    "refuse": {"how": "http_503", "retry_after_s": 1},
    "stalled_handshake": {"count": 1},
    "rate_limited": {"probability": 0.5, "retry_after_s": 1},
    "server_error": {"probability": 0.7},
    "slow_reply": {"delay_s": 1.0, "trickle_s": 1.0, "probability": 0.5},
    "cut_reply": {"probability": 0.5},
    "wrong_reply": {"probability": 0.5},
    "stale_reply": {"probability": 0.5, "behind": 20},
    "evicted_history": {"keep": 30},
    "clock_skew": {"offset_s": 7.0, "drift": 0.01},
    "restart": {"downtime_s": 1.0},
}
"""Each failure, as it is switched on here."""


COMPANIONS: Final = {
    "refuse": "disconnect",
    "stalled_handshake": "disconnect",
    "acknowledged_silent": "disconnect",
    "reject": "disconnect",
    **dict.fromkeys(("rate_limited", "server_error", "slow_reply", "cut_reply", "wrong_reply", "stale_reply"), "drop"),
}
"""What makes a failure matter: a handshake fails only where one is made, a REST reply only where one is asked for."""


class Exchange:
    """The simulator's control API."""

    def __init__(self, rest_url: str) -> None:
        self._client = httpx.Client(base_url=rest_url, trust_env=False, timeout=10.0)

    def fail(self, kinds: set[str]) -> None:
        """Switch on exactly these."""
        body = {kind: KINDS[kind] | {"enabled": True} for kind in sorted(kinds)}
        self._retried("PUT", "/api/v1/simulator/failures", body)

    def record(self) -> dict[str, Any]:
        """What was issued, owed and injected."""
        answer: dict[str, Any] = self._retried("GET", "/api/v1/simulator/issued", None).json()
        return answer

    def _retried(self, method: str, path: str, body: object) -> httpx.Response:
        # A restart's downtime closes the port for a second.
        for _ in range(50):
            try:
                return self._client.request(method, path, json=body).raise_for_status()
            except httpx.TransportError:
                time.sleep(0.1)
        raise SystemExit("the simulator does not answer")


def torture(exchange: Exchange, seconds: float, random: Random) -> None:
    """Switch failures on and off until the time is over; every kind has its turn, then they begin anew."""
    ends_at = time.monotonic() + seconds
    order: list[str] = []
    while time.monotonic() < ends_at:
        if not order:
            order = random.sample(sorted(KINDS), len(KINDS))
        turn = {order.pop() for _ in range(min(random.choice((1, 1, 2, 3)), len(order)))}
        exchange.fail(turn | {COMPANIONS[kind] for kind in turn if kind in COMPANIONS})
        print(f"  {ends_at - time.monotonic():6.1f} s left: {', '.join(sorted(turn))}", flush=True)
        time.sleep(min(random.uniform(3.0, 12.0), max(0.0, ends_at - time.monotonic())))
        exchange.fail(set())
        time.sleep(random.uniform(0.5, 6.0))


def judge(lines: Path, record: dict[str, Any]) -> tuple[Counter[str], list[str]]:
    """Compare what was printed with what was issued; figures, and what is wrong."""
    got: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
    lost: dict[tuple[str, str], list[tuple[int, int | None]]] = defaultdict(list)
    figures: Counter[str] = Counter()
    with lines.open() as file:
        for line in file:
            event = json.loads(line)
            figures[event["event"]] += 1
            if event["event"] == "MarketData":
                got[event["epoch"], event["symbol"]][event["sequence_id"]] += 1
            elif event["event"] == "ContinuityLost":
                lost[event["epoch"], event["symbol"]].append((event["start_seq"], event["end_seq"]))
                figures[f"lost: {event['reason']}"] += 1
    first = {each["symbol"]: each for each in reversed(record["subscriptions"]) if each["session_id"] == SESSION}
    wrong: list[str] = []
    begun: set[str] = set()
    for epoch in record["epochs"]:
        for stream in epoch["streams"]:
            key, last = (epoch["epoch"], stream["symbol"]), stream["last_seq"]
            mine = first.get(stream["symbol"])
            if mine is not None and mine["epoch"] == epoch["epoch"]:
                begun.add(stream["symbol"])
            if mine is None or stream["symbol"] not in begun:
                continue
            mark = mine["mark"] if mine["epoch"] == epoch["epoch"] else 0
            reported = {n for low, high in lost[key] for n in range(low, (last if high is None else high) + 1)}
            owed = set(range(mark + 1, last + 1))
            missing = sorted(owed - set(got[key]) - reported)
            twice = sorted(number for number, times in got[key].items() if times > 1)
            both = sorted(set(got[key]) & reported)
            figures["owed"] += len(owed)
            figures["delivered"] += len(owed & set(got[key]))
            figures["reported"] += len(owed & reported)
            figures["unreported"] += len(missing)
            figures["duplicates"] += len(twice) + len(both)
            for what, ids in (("missing and not reported", missing), ("delivered twice", twice), ("both", both)):
                if ids:
                    wrong.append(f"{key}: {what}: {ids[:10]}{'...' if len(ids) > 10 else ''} of {last}")
    return figures, wrong


def main() -> int:
    """Run it; 0 where the contract was kept and every failure happened."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300.0, help="of torture; about 45 s come on top")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=50.0, help="ids per second and stream")
    options = parser.parse_args()
    gapless = [sys.executable, "-m", "gapless.cli"]
    with TemporaryDirectory() as folder:
        config, lines = Path(folder, "exchange.toml"), Path(folder, "events.jsonl")
        symbols = json.dumps(SYMBOLS)
        config.write_text(f'symbols = {symbols}\nchannels = ["ticker"]\nrate_per_s = {options.rate}\n')
        with subprocess.Popen(
            [*gapless, "simulate", "--config", str(config), "--seed", str(options.seed)],
            stdout=subprocess.PIPE,
            text=True,
        ) as simulate:
            assert simulate.stdout is not None
            at = json.loads(simulate.stdout.readline())
            exchange = Exchange(at["rest_url"])
            streams = [part for symbol in SYMBOLS for part in ("--stream", f"ticker:{symbol}")]
            settings = ["ws_idle_timeout=3", "heartbeat_interval=10", "heartbeat_timeout=3", "reconnect_max_backoff=4"]
            chosen = [part for setting in settings for part in ("--set", setting)]
            with lines.open("wb") as out:
                command = [*gapless, "watch", "--ws-url", at["ws_url"], "--rest-url", at["rest_url"], "--json"]
                watch = subprocess.Popen([*command, "--session-id", SESSION, *streams, *chosen], stdout=out)
                time.sleep(3.0)
                torture(exchange, options.seconds, Random(options.seed))
                time.sleep(SETTLE_S)
                record = exchange.record()
                time.sleep(2.0)
                watch.send_signal(signal.SIGINT)
                code = watch.wait(timeout=20.0)
            simulate.send_signal(signal.SIGINT)
        figures, wrong = judge(lines, record)
    for name in ("owed", "delivered", "reported", "unreported", "duplicates"):
        print(f"{name:<12} {figures[name]}")
    print("events      ", {name: number for name, number in figures.most_common() if name[0].isupper()})
    print("lost        ", {name[6:]: number for name, number in figures.items() if name.startswith("lost: ")})
    print("injected    ", dict(sorted(record["injected"].items())))
    never = sorted(set(KINDS) - set(record["injected"])) if options.seconds >= 300 else []
    for text in [*wrong, *(f"the failure {kind} never happened" for kind in never)]:
        print("WRONG:", text)
    if code != 0:
        print("WRONG: gapless watch ended with", code)
    return 1 if wrong or never or code else 0


if __name__ == "__main__":
    sys.exit(main())
