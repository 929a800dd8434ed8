"""What commands refuse, in one clear line each: no socket is opened."""

import gzip
import socket
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gapless.cli import main
from gapless.controller import NetworkConfig

WATCH = ("watch", "--ws-url", "ws://127.0.0.1:1/ws", "--rest-url", "http://127.0.0.1:1")
STREAM = ("--stream", "ticker:BTC/USD")
TRADE = (
    b'1723161253937085768 {"stream":"btcusdt@trade","data":'
    b'{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":"1.0","q":"1.0","T":1,"m":false}}\n'
)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def assert_refused(result: Result, *, code: int, says: str) -> None:
    """Nothing on stdout, one ``Error:`` line at the end of stderr, no traceback."""
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    assert result.stderr.count("Error: ") == 1
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert says in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--set", "ws_idle_timeout=-1"), "--set: ws_idle_timeout = -1.0 is not allowed: expected a finite number > 0"),
        (("--set", "ws_idle_timeout=soon"), "ws_idle_timeout = 'soon' is not allowed: expected a number"),
        (("--set", "max_retries=2.5"), "max_retries = '2.5' is not allowed: expected a whole number"),
        (("--set", "max_retries="), "max_retries = '' is not allowed: expected a whole number"),
        (
            ("--set", "rate_limit_proactive=maybe"),
            "rate_limit_proactive = 'maybe' is not allowed: expected true or fal",
        ),
        (("--set", "reconnect_max_attempts=never"), "= 'never' is not allowed: expected a whole number or none"),
        (("--set", "rotate_after=soon"), "rotate_after = 'soon' is not allowed: expected a number or none"),
        (
            ("--set", f"buffer_size={2**63}"),
            f"buffer_size = {2**63} is not allowed: expected a whole number of at most",
        ),
        (("--set", f"buffer_size={'9' * 5_000}"), "9... is not allowed: expected a whole number of at most 64 bits"),
        (("--set", "\udcff=1"), r"unknown setting '\udcff'; known are attempt_timeout, "),
        (("--set", "silence_policy=maybe"), "silence_policy = 'maybe' is not allowed: expected one of confirm, immed"),
        (("--set", "nonsense=1"), "unknown setting 'nonsense'; known are attempt_timeout, "),
        (("--set", "ws_idle_timeout"), "--set is written FIELD=VALUE, for example ws_idle_timeout=5; got 'ws_idle_t"),
        (("--set", "reconnect_max_backoff=0.5"), "reconnect_max_backoff must be at least reconnect_initial_backoff"),
        (("--stream", "ticker"), "--stream: a stream is written CHANNEL:SYMBOL, for example ticker:BTC/USD; got 'tic"),
        (("--stream", "ticker:"), "--stream: a stream's symbol must be a text without outer blanks, got ''"),
        (
            ("--stream", "ticker:\udcff"),
            "--stream: a stream's symbol must be UTF-8 without control characters, at most",
        ),
        (("--stream", "ticker:a\nb"), r"at most 256 characters, got 'a\nb'"),
        (STREAM, "--stream ticker:BTC/USD is given twice"),
        (("--stream", "orders:BTC/USD"), "channel orders has the symbol *, got 'BTC/USD'"),
        (("--ws-url", "http://x"), "ws_url = 'http://x' is not allowed: expected ws://HOST:PORT or wss://HOST:PORT"),
        (("--rest-url", "nonsense"), "rest_url = 'nonsense' is not allowed: expected http://HOST:PORT"),
        (("--session-id", "grüezi"), "--session-id 'grüezi' is not allowed: expected printable ASCII"),
        (("--session-id", " a"), "session_id = ' a' is not allowed: expected printable ASCII without outer blanks"),
        (
            ("--rest-url", "http://127.0.0.256:1"),
            "rest_url = 'http://127.0.0.256:1' is not a URL: Invalid IPv4 address",
        ),
        (("--rest-url", "http://xn--:2"), "rest_url = 'http://xn--:2' is not a URL: "),
        (("--ws-url", "ws://☃.com"), "ws_url = 'ws://☃.com' is not a URL: Invalid IDNA hostname"),
        (("--ws-url", "ws://h/ws?session_id=%C3%A9"), "session_id = 'é' is not allowed: expected printable ASCII"),
        (("--ws-url", "ws://h/ws#x"), "ws_url = 'ws://h/ws#x' is not allowed: expected no fragment"),
        (("--session-id", ""), "--session-id '' is not allowed"),
        (("--seconds", "0"), "0.0 is not in the range 0.0<x<="),
        (("--seconds", "nan"), "nan is not a number"),
        (("--seconds", "inf"), "inf is not in the range"),
    ],
)
def test_watch_refuses_a_wrong_command_line(arguments: tuple[str, ...], says: str) -> None:
    assert_refused(run(*WATCH, *STREAM, *arguments), code=2, says=says)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ws_idle_timeout = -1", "ws_idle_timeout = -1.0 is not allowed: expected a finite number > 0"),
        ("ws_idle_timeout = '5'", "ws_idle_timeout = '5' is not allowed: expected `float`, got `str`"),
        ("reconnect_max_attempts = 1.5", "= 1.5 is not allowed: expected `int | null`, got `float`"),
        (f"buffer_size = {10**300}", "00... is not allowed: expected a whole number of at most 9223372036854775807"),
        (f"buffer_size = 0x{'9' * 5_000}", "buffer_size = <int too large to show> is not allowed: expected"),
        (f"rest_timeout = 0x{'9' * 5_000}", "rest_timeout = <int too large to show> is not allowed: expected a number"),
        (f"buffer_size = {'9' * 5_000}", "is not TOML: Exceeds the limit"),
        ("[network]\nnonsense = 1", "unknown setting 'nonsense'"),
        ("network = 1", "expected a table [network], got 1"),
        ("=", "is not TOML"),
    ],
)
def test_watch_fails_on_a_bad_file(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "feed.toml"
    file.write_text(text)

    assert_refused(run(*WATCH, *STREAM, "--config", str(file)), code=1, says=says)


def test_watch_fails_on_a_missing_file() -> None:
    assert_refused(run(*WATCH, *STREAM, "--config", "/no/such/file"), code=1, says="cannot read /no/such/file: No such")


def test_the_command_line_goes_over_the_file(tmp_path: Path) -> None:
    """The file alone would not do; with --set over it, it runs until the time is over."""
    file = tmp_path / "feed.toml"
    file.write_text("[network]\nreconnect_max_backoff = 0.5\n")

    assert_refused(run(*WATCH, *STREAM, "--config", str(file)), code=1, says="reconnect_max_backoff must be at least")
    assert_refused(
        run(*WATCH, *STREAM, "--config", str(file), "--set", "reconnect_initial_backoff=0"),
        code=2,
        says="reconnect_initial_backoff = 0.0",
    )


def test_watch_lists_every_setting() -> None:
    result = run("watch", "--list-settings")

    assert result.exit_code == 0
    lines = {line.split()[0]: line for line in result.output.splitlines()}
    assert list(lines) == [each.name for each in fields(NetworkConfig)]
    assert " 10.0 " in lines["ws_idle_timeout"]
    assert " none " in lines["reconnect_max_attempts"]
    for each in fields(NetworkConfig):
        assert each.metadata["effect"] in lines[each.name]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rate_per_s = -1", "SimulatorConfig.rate_per_s = -1: Expected 'float' >= 0.0 - at '$.rate_per_s'"),
        ("nonsense = 1", "unknown field 'nonsense'; known are seed, symbols, rate_per_s, "),
        ("[failures.drop]\nenabled = true", "SelectMode.enabled = True: expected one of probability, ids or every_nth"),
        ("=", "expected TOML in UTF-8"),
    ],
)
def test_simulate_fails_on_a_bad_file(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "exchange.toml"
    file.write_text(text)

    assert_refused(run("simulate", "--config", str(file)), code=1, says=says)


def test_simulate_fails_on_a_missing_file() -> None:
    assert_refused(run("simulate", "--config", "/no/such/file"), code=1, says="cannot read /no/such/file: No such file")


@pytest.mark.parametrize("command", ["simulate", "demo"])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "expected a readable capture"),
        (b"", "expected at least one trade"),
        (b"nonsense\n", "line 1: expected <receive time in ns>"),
        (gzip.compress(TRADE * 99, mtime=0)[:40], "expected a readable capture"),
        (TRADE + b"9" * 400 + TRADE[19:], "line 2: expected <receive time in ns>"),
        (TRADE + b"1" + TRADE[19:], "line 2: expected trades in order of time"),
        (
            (TRADE + TRADE.replace(b"1723161", b"1723561")).replace(b"BTCUSDT", b"BTC USDT"),
            "SimulatorConfig.symbols = ('BTC USDT',): Expected 'str' matching regex",
        ),
    ],
)
def test_a_bad_capture_fails(tmp_path: Path, command: str, content: bytes | None, says: str) -> None:
    file = tmp_path / ("trades.gz" if content and content[0] == 0x1F else "trades")
    if content is not None:
        file.write_bytes(content)

    assert_refused(run(command, "--capture", str(file)), code=1, says=says)


def test_demo_refuses_a_capture_that_is_over_too_soon(tmp_path: Path) -> None:
    file = tmp_path / "trades"
    file.write_bytes(TRADE + TRADE.replace(b"17231612", b"17231613"))

    assert_refused(
        run("demo", "--capture", str(file), "--speed", "20"),
        code=1,
        says="the replay takes 5.0 s at --speed 20: the story takes at least 15 s, and at most 3600 s of market are "
        "kept for the check; the fastest --speed for it is 6.7",
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("demo", "--seconds", "14"), "--seconds 14 is not allowed: the story takes at least 15 s"),
        (("demo", "--seconds", "99999"), "--seconds 99999 is not allowed: the story takes at least 15 s, and at most"),
        (("demo", "--speed", "2"), "--speed goes with --capture"),
        (("demo", "--capture", "x", "--speed", "0"), "0.0 is not in the range 0.0<x<=1000.0"),
        (("simulate", "--speed", "2"), "--speed goes with --capture"),
        (("simulate", "--capture", "x", "--speed", "nan"), "nan is not a number"),
        (("simulate", "--ws-port", "65536"), "65536 is not in the range 0<=x<=65535"),
        (("simulate", "--ws-port", "8080", "--rest-port", "8080"), "--ws-port and --rest-port are both 8080"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], says: str) -> None:
    assert_refused(run(*arguments), code=2, says=says)


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A real port somebody listens on: only a kernel can refuse it."""
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", 0))
        somebody.listen()
        yield somebody.getsockname()[1]


@pytest.mark.parametrize("option", ["--ws-port", "--rest-port"])
def test_a_port_in_use_fails(taken_port: int, option: str) -> None:
    assert_refused(
        run("simulate", option, str(taken_port)),
        code=1,
        says=f"cannot listen on 127.0.0.1:{taken_port}: Address already in use",
    )


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("no.such.host.invalid", "cannot listen on no.such.host.inv"),
        ("a..b", "cannot listen on a..b: 'a..b' is not a host name"),
        ("a" * 64, "is not a host name"),
        ("é.x y", "cannot listen on é.x y: 'é.x y' is not a host name"),
        ("\udcff", r"'\udcff' is not a host name"),
    ],
)
def test_a_host_that_is_none_fails(host: str, says: str) -> None:
    assert_refused(run("simulate", "--host", host), code=1, says=says)
    assert_refused(run("simulate", "--host", host, "--ws-port", "18080"), code=1, says=says)
