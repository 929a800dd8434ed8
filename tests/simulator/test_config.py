"""Configuration from code and from TOML: what is allowed, and what is said about what is not."""

from collections.abc import Callable
from pathlib import Path

import pytest
from trio.testing import MockClock

from gapless.simulator import (
    ClockSkewMode,
    FailureMode,
    FailuresConfig,
    RateLimitMode,
    ReorderMode,
    RestartMode,
    SelectMode,
    ServerErrorMode,
    SettingsError,
    SimulatorConfig,
    SymbolSilentMode,
)
from tests.simulator.conftest import error_of, served


def test_the_defaults_are_allowed() -> None:
    config = SimulatorConfig()
    assert config.symbols == ("BTC/USD", "ETH/USD")
    assert config.failures == FailuresConfig()


def test_it_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        SimulatorConfig().seed = 2  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: SimulatorConfig(rate_per_s=-1.0), "SimulatorConfig.rate_per_s = -1.0: Expected 'float' >= 0.0"),
        (lambda: SimulatorConfig(rate_per_s=float("inf")), "rate_per_s = inf: Expected 'float' <= 100000.0"),
        (lambda: SimulatorConfig(rate_per_s=float("nan")), "rate_per_s = nan: Expected 'float' >= 0.0"),
        (lambda: SimulatorConfig(rate_per_s=True), "rate_per_s = True: Expected 'float', got 'bool'"),
        (lambda: SimulatorConfig(history_size=0), "history_size = 0: Expected 'int' >= 1"),
        (lambda: SimulatorConfig(symbols=()), "symbols = (): expected at least one name, none twice"),
        (lambda: SimulatorConfig(symbols=("A", "A")), "symbols = ('A', 'A'): expected at least one name, none twice"),
        (lambda: SimulatorConfig(symbols=("A B",)), "symbols = ('A B',): Expected 'str' matching regex"),
        (lambda: SimulatorConfig(symbols=("BTC\n",)), "symbols = ('BTC\\n',): Expected 'str' matching regex"),
        (
            lambda: SimulatorConfig(symbols=("A", "B C")),
            "symbols = ('A', 'B C'): Expected 'str' matching regex '^[!-~]{1,64}\\\\Z' - at '$[1]'",
        ),
        (lambda: SimulatorConfig(channels=("orders",)), "expected market channels; orders and balance always exist"),
        (lambda: SimulatorConfig(send_timeout_s=0.0), "send_timeout_s = 0.0: Expected 'float' > 0.0"),
        (lambda: SimulatorConfig(failures=3), "failures = 3: Expected 'object', got 'int'"),  # type: ignore[arg-type]
        (lambda: FailureMode(after_messages=-1), "FailureMode.after_messages = -1: Expected 'int' >= 0"),
        (lambda: FailureMode(count=0), "FailureMode.count = 0: Expected 'int' >= 1"),
        (lambda: FailureMode(duration_s=1e9), "FailureMode.duration_s = 1000000000.0: Expected 'float' <= 86400.0"),
        (lambda: SelectMode(probability=1.5), "SelectMode.probability = 1.5: Expected 'float' <= 1.0"),
        (lambda: SelectMode(enabled=True), "SelectMode.enabled = True: expected one of probability, ids or every_nth"),
        (lambda: ReorderMode(distance=0), "ReorderMode.distance = 0: Expected 'int' >= 1"),
        (lambda: ServerErrorMode(status=404), "ServerErrorMode.status = 404: Expected 'int' >= 500"),
        (lambda: RateLimitMode(retry_after_s=0.5), "retry_after_s = 0.5: Expected 'int | null'"),  # type: ignore[arg-type]
        (lambda: RestartMode(count=None), "RestartMode.after_s = 0.0: expected at least 0.1 where count is not 1"),
        (lambda: ClockSkewMode(count=1), "ClockSkewMode.count = 1: expected none; duration_s ends it"),
        (lambda: RateLimitMode(status=430), "RateLimitMode.status = 430: Invalid enum value 430"),  # type: ignore[arg-type]
    ],
)
def test_what_is_not_allowed_is_named_with_its_value(build: Callable[[], object], says: str) -> None:
    with pytest.raises(SettingsError) as refused:
        build()
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("failures", "says"),
    [
        (
            FailuresConfig(symbol_silent=SymbolSilentMode(enabled=True, symbols=("BTCUSD",))),
            "FailuresConfig.symbol_silent.symbols names 'BTCUSD': expected some of BTC/USD, ETH/USD, *",
        ),
        (
            FailuresConfig(drop=SelectMode(enabled=True, ids=(3,), symbols=("ETH/USD", "X"))),
            "FailuresConfig.drop.symbols names 'X': expected some of BTC/USD, ETH/USD, *",
        ),
    ],
)
def test_a_failure_of_a_symbol_that_does_not_exist_is_refused(failures: FailuresConfig, says: str) -> None:
    """It would never happen, and a test that counts on it would prove nothing."""
    with pytest.raises(SettingsError) as refused:
        SimulatorConfig(failures=failures)
    assert says in str(refused.value)


def test_a_failure_of_an_account_channel_is_of_the_symbol_star() -> None:
    mode = SelectMode(enabled=True, ids=(3,), symbols=("*", "ETH/USD"))
    assert SimulatorConfig(failures=FailuresConfig(drop=mode)).failures.drop == mode


async def test_the_control_api_refuses_a_failure_of_a_symbol_that_does_not_exist(autojump_clock: MockClock) -> None:
    async with served() as world, world.rest() as rest:
        mode = {"enabled": True, "symbols": ["BTCUSD"]}
        reply = await rest.put("/api/v1/simulator/failures", json={"symbol_silent": mode})
        assert (reply.status_code, error_of(reply)) == (400, "bad_failures")
        assert "symbol_silent.symbols names 'BTCUSD'" in reply.json()["error"]["message"]
        assert world.exchange.failures.get() == FailuresConfig()


def test_a_toml_file_says_the_same_as_code(tmp_path: Path) -> None:
    file = tmp_path / "exchange.toml"
    file.write_text(
        """
        seed = 7
        symbols = ["BTC/USD"]
        rate_per_s = 25

        [failures.silent_connection]
        enabled = true
        after_messages = 20

        [failures.drop]
        enabled = true
        ids = [3, 5]

        [failures.rate_limited]
        enabled = true
        count = 2
        """
    )
    assert SimulatorConfig.load(file) == SimulatorConfig(
        seed=7,
        symbols=("BTC/USD",),
        rate_per_s=25.0,
        failures=FailuresConfig(
            silent_connection=FailureMode(enabled=True, after_messages=20),
            drop=SelectMode(enabled=True, ids=(3, 5)),
            rate_limited=RateLimitMode(enabled=True, count=2),
        ),
    )


def test_an_empty_file_is_the_default(tmp_path: Path) -> None:
    file = tmp_path / "exchange.toml"
    file.touch()
    assert SimulatorConfig.load(file) == SimulatorConfig()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("speed = 3", "SimulatorConfig: unknown field 'speed'; known are seed, symbols, rate_per_s, "),
        ("rate_per_s = -1", "SimulatorConfig.rate_per_s = -1: Expected 'float' >= 0.0 - at '$.rate_per_s'"),
        (
            'symbols = ["A", "B C"]',
            "symbols = ['A', 'B C']: Expected 'str' matching regex '^[!-~]{1,64}\\\\Z' - at '$.symbols[1]'",
        ),
        ("failures = 3", "SimulatorConfig.failures = 3: Expected 'object', got 'int' - at '$.failures'"),
        ("[failures]\ndrop = 3", "FailuresConfig.drop = 3: Expected 'object | null', got 'int' - at '$.failures.drop'"),
        ("[failures.drop]\nids = [3, 0]", "SelectMode.ids = [3, 0]: Expected 'int' >= 1 - at '$.failures.drop.ids[1]'"),
        (
            "[failures.drop]\nsymbols = ['X']",
            "names 'X': expected some of BTC/USD, ETH/USD, * - at '$.failures.drop.symb",
        ),
        (f"seed = {'9' * 5_000}", "expected TOML in UTF-8: Exceeds the limit"),
        (f"rate_per_s = 0x{'9' * 5_000}", "rate_per_s = <int too large to show>: "),
        (f"seed = '{'9' * 5_000}'", "9...: Expected 'int', got 'str' - at '$.seed'"),
        (f"seed = {'[' * 5_000}", "expected TOML in UTF-8: "),
        (
            "[failures.silence]\nenabled = true",
            "unknown field 'silence' - at '$.failures'; known are silent_connection, ",
        ),
        ("[failures.drop]\nafter_messages = 1", "unknown field 'after_messages' - at '$.failures.drop'"),
        ("rate_per_s = 'fast'", "Expected 'float', got 'str' - at '$.rate_per_s'"),
        ("[failures.drop]\nprobability = 2.0", "Expected 'float' <= 1.0 - at '$.failures.drop.probability'"),
        ("[failures.drop]\nenabled = true", "expected one of probability, ids or every_nth"),
        ("seed =", "expected TOML in UTF-8"),
        ("seed = '\udcff'", "expected TOML in UTF-8"),
    ],
)
def test_a_toml_file_that_cannot_be_used(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "exchange.toml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SettingsError) as refused:
        SimulatorConfig.load(file)
    assert str(refused.value).startswith(str(file))
    assert says in str(refused.value)
    assert len(str(refused.value)) < 1_000


def test_a_missing_file_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        SimulatorConfig.load(tmp_path / "nowhere.toml")
