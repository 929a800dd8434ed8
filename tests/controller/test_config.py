"""Every switch: its default, its bounds, and the three ways to set it."""

from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest

from gapless.controller import ConfigurationError, NetworkConfig, load_settings

SEED_DEFAULTS = {
    "heartbeat_interval": 60.0,
    "heartbeat_timeout": 10.0,
    "ws_idle_timeout": 10.0,
    "rate_limit_proactive": True,
    "rate_limit_initial_backoff": 1.0,
    "rate_limit_max_backoff": 60.0,
    "rate_limit_backoff_multiplier": 2.0,
    "reconciliation_enabled": True,
    "price_history_limit": 1000,
    "reconnect_initial_backoff": 1.0,
    "reconnect_max_backoff": 60.0,
    "reconnect_max_attempts": 10,
}
"""Copied from the specification's ``NetworkConfig``."""

DESIGN_DEFAULTS = {
    "silence_policy": "confirm",
    "rest_fetch_interval": 2.0,
    "max_retries": 3,
    "rate_limit_requests": 10,
    "rate_limit_window": 1.0,
    "reconnect_exhausted": "stay",
    "attempt_timeout": 10.0,
    "sequence_jump_max": 100_000,
    "open_intervals_max": 1_000,
}
"""What the design adds."""

SECONDS = [
    "heartbeat_interval",
    "heartbeat_timeout",
    "ws_idle_timeout",
    "rest_fetch_interval",
    "rest_timeout",
    "rate_limit_window",
    "rate_limit_initial_backoff",
    "rate_limit_max_backoff",
    "reconnect_initial_backoff",
    "reconnect_max_backoff",
    "attempt_timeout",
]
COUNTS = {
    "max_retries": 0,
    "rate_limit_requests": 1,
    "price_history_limit": 1,
    "reconnect_max_attempts": 1,
    "buffer_size": 2,
    "sequence_jump_max": 1,
    "open_intervals_max": 1,
    "message_size_max": 1_024,
    "reply_size_max": 1_024,
}
"""The least that is allowed."""


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(("name", "value"), (SEED_DEFAULTS | DESIGN_DEFAULTS).items())
def test_defaults(name: str, value: object) -> None:
    default = getattr(NetworkConfig(), name)
    assert default == value
    assert type(default) is type(value)


@pytest.mark.parametrize("each", fields(NetworkConfig), ids=lambda each: each.name)
def test_every_field_says_its_unit_and_effect(each: object) -> None:
    metadata = getattr(each, "metadata", {})
    assert metadata["unit"]
    assert metadata["effect"]


def test_it_is_frozen() -> None:
    config = NetworkConfig()
    with pytest.raises(FrozenInstanceError):
        config.heartbeat_interval = 1.0  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


class TestRefusals:
    """Each names the field, the value that came and what is allowed."""

    @pytest.mark.parametrize("name", SECONDS)
    @pytest.mark.parametrize("value", [0.0, -0.5, float("inf"), float("-inf"), float("nan")])
    def test_times_are_finite_and_more_than_nothing(self, name: str, value: float) -> None:
        with pytest.raises(ConfigurationError) as caught:
            NetworkConfig.from_mapping({name: value})
        assert str(caught.value).startswith(f"{name} = {value!r} is not allowed: expected a finite number > 0")

    @pytest.mark.parametrize(("name", "least"), COUNTS.items())
    def test_counts_have_a_least_value(self, name: str, least: int) -> None:
        NetworkConfig.from_mapping({name: least})
        with pytest.raises(ConfigurationError) as caught:
            NetworkConfig.from_mapping({name: least - 1})
        assert str(caught.value) == f"{name} = {least - 1} is not allowed: expected a finite number >= {least}"

    @pytest.mark.parametrize("value", [0.99, 0, -2.0, float("nan"), float("inf")])
    def test_a_backoff_does_not_shrink(self, value: float) -> None:
        NetworkConfig(rate_limit_backoff_multiplier=1.0)
        with pytest.raises(ConfigurationError, match=r"rate_limit_backoff_multiplier = .* a finite number >= 1"):
            NetworkConfig(rate_limit_backoff_multiplier=value)

    @pytest.mark.parametrize("prefix", ["rate_limit", "reconnect"])
    def test_the_longest_backoff_is_not_shorter_than_the_first(self, prefix: str) -> None:
        initial, longest = f"{prefix}_initial_backoff", f"{prefix}_max_backoff"
        NetworkConfig.from_mapping({initial: 5.0, longest: 5.0})
        with pytest.raises(ConfigurationError, match=rf"{longest} must be at least {initial} \(5\.0\), got 4\.0"):
            NetworkConfig.from_mapping({initial: 5.0, longest: 4.0})

    @pytest.mark.parametrize(
        ("name", "choices"), [("silence_policy", "confirm, immediate"), ("reconnect_exhausted", "stay, raise")]
    )
    def test_a_choice_is_one_of_those_named(self, name: str, choices: str) -> None:
        with pytest.raises(ConfigurationError, match=rf"{name} = 'maybe' is not allowed: expected one of {choices}"):
            NetworkConfig.from_mapping({name: "maybe"})

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("heartbeat_interval", "60"),
            ("heartbeat_interval", True),
            ("heartbeat_interval", None),
            ("max_retries", "3"),
            ("max_retries", 2.5),
            ("max_retries", True),
            ("rate_limit_proactive", 1),
            ("rate_limit_proactive", "true"),
            ("silence_policy", 1),
            ("reconnect_max_attempts", [10]),
            ("buffer_size", {}),
        ],
    )
    def test_toml_is_taken_by_its_word(self, name: str, value: object) -> None:
        """A text is not a number, nor is a number a truth value; what is built in code is checked alike."""
        values: dict[str, Any] = {name: value}
        for build in (NetworkConfig.from_mapping, lambda values: NetworkConfig(**values)):
            with pytest.raises(ConfigurationError) as caught:
                build(values)
            assert str(caught.value).startswith(f"{name} = {value!r} is not allowed: expected")

    def test_an_unknown_field_is_named_with_those_that_are_known(self) -> None:
        with pytest.raises(ConfigurationError, match=r"unknown setting 'heartbeat_intervall'; known are .*heartbeat_i"):
            NetworkConfig.from_mapping({"heartbeat_intervall": 60.0})
        with pytest.raises(ConfigurationError, match="unknown setting 'nonsense'"):
            NetworkConfig.from_text({"nonsense": "1"})
        with pytest.raises(ConfigurationError, match="unknown setting 'nonsense'"):
            NetworkConfig.from_text({}, {"nonsense": 1})

    def test_it_is_a_value_error_too(self) -> None:
        with pytest.raises(ValueError, match="rest_timeout"):
            NetworkConfig(rest_timeout=0)


class TestText:
    """``--set FIELD=VALUE``: the value is a text and is converted."""

    @pytest.mark.parametrize(
        ("name", "text", "value"),
        [
            ("heartbeat_interval", "30", 30.0),
            ("heartbeat_interval", "2.5", 2.5),
            ("max_retries", "0", 0),
            ("rate_limit_proactive", "false", False),
            ("rate_limit_proactive", "true", True),
            ("silence_policy", "immediate", "immediate"),
            ("reconnect_max_attempts", "3", 3),
            ("reconnect_max_attempts", "none", None),
        ],
    )
    def test_it_becomes_the_fields_type(self, name: str, text: str, value: object) -> None:
        built = getattr(NetworkConfig.from_text({name: text}), name)
        assert built == value
        assert type(built) is type(value)

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("heartbeat_interval", "a minute"),
            ("heartbeat_interval", "none"),
            ("heartbeat_interval", ""),
            ("heartbeat_interval", "0"),
            ("heartbeat_interval", "nan"),
            ("heartbeat_interval", "inf"),
            ("max_retries", "2.5"),
            ("max_retries", "-1"),
            ("rate_limit_proactive", "maybe"),
            ("silence_policy", "none"),
            ("reconnect_max_attempts", "never"),
        ],
    )
    def test_what_cannot_be_converted_is_refused(self, name: str, text: str) -> None:
        with pytest.raises(ConfigurationError, match=rf"{name} = .* is not allowed: expected"):
            NetworkConfig.from_text({name: text})

    def test_it_goes_over_what_the_file_says(self) -> None:
        config = NetworkConfig.from_text({"rest_timeout": "3"}, {"rest_timeout": 9.0, "max_retries": 1})
        assert (config.rest_timeout, config.max_retries, config.ws_idle_timeout) == (3.0, 1, 10.0)


class TestFiles:
    @pytest.mark.parametrize(
        "text",
        [
            "rest_timeout = 3.0\nreconnect_max_attempts = 'none'\n",
            "[network]\nrest_timeout = 3.0\nreconnect_max_attempts = 'none'\n[other]\nx = 1\n",
        ],
    )
    def test_settings_stand_in_the_table_network_or_at_the_top(self, tmp_path: Path, text: str) -> None:
        config = NetworkConfig.from_mapping(load_settings(written(tmp_path / "feed.toml", text)))
        assert (config.rest_timeout, config.reconnect_max_attempts) == (3.0, None)

    def test_whole_numbers_will_do_for_times(self, tmp_path: Path) -> None:
        settings = load_settings(written(tmp_path / "feed.toml", "heartbeat_interval = 30"))
        assert NetworkConfig.from_mapping(settings).heartbeat_interval == 30.0

    def test_an_empty_file_means_the_defaults(self, tmp_path: Path) -> None:
        assert NetworkConfig.from_mapping(load_settings(written(tmp_path / "feed.toml", ""))) == NetworkConfig()

    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"cannot read .*absent\.toml: No such file"):
            load_settings(tmp_path / "absent.toml")

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"cannot read .*: Is a directory"):
            load_settings(tmp_path)

    @pytest.mark.parametrize("content", [b"rest_timeout = ", b"{", b"a = 1\na = 2", b"rest_timeout = '\xff'"])
    def test_what_is_not_toml(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "feed.toml"
        path.write_bytes(content)
        with pytest.raises(ConfigurationError, match=r"feed\.toml is not TOML: "):
            load_settings(path)

    def test_network_must_be_a_table(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"expected a table \[network\], got 3"):
            load_settings(written(tmp_path / "feed.toml", "network = 3"))
