"""The configuration reference is generated, complete and fresh; --config and --set take exactly its fields."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
from click.testing import CliRunner

from gapless.cli import main
from gapless.cli.options import network_config
from gapless.controller import ConfigurationError, NetworkConfig
from gapless.controller.config_reference import markdown, settings

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "configuration.md"
NAMES = [each.name for each in settings()]

OTHERS = {
    "silence_policy": "immediate",
    "reconnect_exhausted": "raise",
    "ordering": "sequence",
    "overflow": "conflate",
    "transport": "wire",
    "rate_limit_proactive": "false",
    "reconciliation_enabled": "false",
    "rest_compression": "false",
    "rest_fetch_adaptive": "true",
}
"""A value other than the default, where it is not a number."""


def other(name: str) -> str:
    """A value that a field takes and that is not its default. Maxima grow, so that no pair is out of order."""
    default = getattr(NetworkConfig(), name)
    return OTHERS.get(name) or str(7 if default is None else default * 2 or 1)


def test_the_committed_table_is_fresh() -> None:
    assert DOCUMENT.read_text() == markdown(), "run: gapless settings --write"


def test_every_field_says_what_it_is_what_it_does_and_where_its_default_comes_from() -> None:
    assert [each.name for each in fields(NetworkConfig)] == NAMES
    for each in settings():
        assert all((each.unit, each.default, each.allowed, each.effect, each.source)), each
    rows = re.findall(r"^\| `(\w+)` \|", markdown(), re.MULTILINE)
    assert rows == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_set_and_a_file_take_every_field(name: str, tmp_path: Path) -> None:
    text = other(name)
    by_option = getattr(network_config(None, [f"{name}={text}"]), name)
    quoted = f'"{text}"' if name in OTHERS and text not in {"true", "false"} else text
    file = tmp_path / "network.toml"
    file.write_text(f"[network]\n{name} = {quoted}\n")
    by_file = getattr(network_config(file, []), name)
    assert by_option == by_file
    assert by_option != getattr(NetworkConfig(), name)
    assert tomllib.loads(file.read_text())


def test_nothing_else_is_taken() -> None:
    with pytest.raises(ConfigurationError, match="unknown setting 'nonsense'; known are"):
        NetworkConfig.from_mapping({"nonsense": 1})


@pytest.mark.parametrize("name", ["rotate_after", "reconnect_max_attempts"])
def test_none_is_written_none(name: str) -> None:
    assert getattr(network_config(None, [f"{name}=none"]), name) is None


def test_the_command_lists_checks_and_writes(tmp_path: Path) -> None:
    run = CliRunner().invoke
    listed = run(main, ["settings"], standalone_mode=False).output
    assert [line.split()[0] for line in listed.splitlines()] == NAMES
    assert run(main, ["settings", "--markdown"], standalone_mode=False).output == markdown()
    file = tmp_path / "configuration.md"
    file.write_text("old")
    assert run(main, ["settings", "--check", "-o", str(file)]).exit_code == 1
    assert run(main, ["settings", "--write", "-o", str(file)]).exit_code == 0
    assert run(main, ["settings", "--check", "-o", str(file)]).exit_code == 0
    assert run(main, ["settings", "--check", "--write"]).exit_code == 2
    missing = run(main, ["settings", "--check", "-o", str(tmp_path / "none.md")])
    assert missing.exit_code == 1
    assert "No such file" in missing.output
