"""What commands take: numbers with a limit, streams, settings. A mistake on the command line is wrong usage, exit 2."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from math import isnan
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

import click

from gapless.cli.endings import OneLineError
from gapless.cli.exit_codes import WRONG_USAGE
from gapless.controller import ConfigurationError, NetworkConfig, Stream, load_settings

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Positive(click.FloatRange):
    """A number above 0, up to ``at_most``. Its base lets ``nan`` pass."""

    def __init__(self, at_most: float) -> None:
        super().__init__(min=0.0, max=at_most, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Check one value."""
        number: float = super().convert(value, param, ctx)
        if isnan(number):
            self.fail("nan is not a number", param, ctx)
        return number


SECONDS: Final = Positive(at_most=31_536_000.0)
"""A duration: up to a year."""
SPEED: Final = Positive(at_most=1_000.0)
"""How much faster than recorded; beyond, a day of trades is a minute's flood."""
CAPTURE: Final = click.Path(path_type=Path)
"""A file that is opened later: if it cannot be read, the command has failed, it was not used wrongly."""


WATCH_DEFAULTS: Final = {"reconnect_max_attempts": "none"}
"""A shell cannot call ``reconnect()``: a watch that gave up would never come back."""


def parse_streams(texts: Sequence[str]) -> list[Stream]:
    """Streams written ``CHANNEL:SYMBOL``, each once."""
    try:
        streams = [Stream.parse(text) for text in texts]
    except ConfigurationError as error:
        raise OneLineError(f"--stream: {error}", WRONG_USAGE) from None
    twice = [str(stream) for stream in dict.fromkeys(streams) if streams.count(stream) > 1]
    if twice:
        raise OneLineError(f"--stream {twice[0]} is given twice; name each stream once", WRONG_USAGE)
    return streams


def network_config(
    file: Path | None, texts: Sequence[str], base: Mapping[str, object] = WATCH_DEFAULTS
) -> NetworkConfig:
    """The settings of a file under those of the command line, and over those of the command itself.

    What the command line says wrong is wrong usage; what the file says wrong has failed.
    """
    given = assignments(texts)
    try:
        settings = {**base, **(load_settings(file) if file is not None else {})}
        return NetworkConfig.from_text(given, settings)
    except ConfigurationError as error:
        try:
            NetworkConfig.from_text(given)
        except ConfigurationError as typed:
            raise OneLineError(f"--set: {typed}", WRONG_USAGE) from None
        raise OneLineError(f"--config {file}: {error}") from None


def assignments(texts: Sequence[str]) -> dict[str, str]:
    """``FIELD=VALUE`` texts as a mapping."""
    given: dict[str, str] = {}
    for text in texts:
        field, equals, value = text.partition("=")
        if not equals:
            raise OneLineError(
                f"--set is written FIELD=VALUE, for example ws_idle_timeout=5; got {text!r}", WRONG_USAGE
            )
        given[field.strip()] = value.strip()
    return given


def _list_settings(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """A click callback: print every field that ``--set`` takes, and end."""
    if not wanted or context.resilient_parsing:
        return
    for each in fields(NetworkConfig):
        default = WATCH_DEFAULTS.get(each.name, each.default)
        unit, effect = each.metadata["unit"], each.metadata["effect"]
        click.echo(f"{each.name:<29} {default!s:<9} {unit:<9} {effect}")
    context.exit()


def settings_options(command: Callable[_P, _R]) -> Callable[_P, _R]:
    """Decorate a command that has a controller: ``--config``, ``--set`` (as ``settings``), ``--list-settings``."""
    for option in (
        click.option(
            "--list-settings",
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_list_settings,
            help="Print every FIELD with its default, unit and effect, and end.",
        ),
        click.option(
            "--set", "settings", multiple=True, metavar="FIELD=VALUE", help="One setting; goes over FILE; repeatable."
        ),
        click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="TOML with a table [network]."),
    ):
        command = option(command)
    return command
