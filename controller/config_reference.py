"""The table of every setting, generated from the configuration itself. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Literal, get_args, get_origin, get_type_hints

from gapless.controller.config import NetworkConfig

_HEAD = """# Configuration

Every switch of a controller. This file is generated from `controller/config.py`: `gapless settings --write` writes it
anew, and a test fails when it is stale.

In code: `NetworkConfig(ws_idle_timeout=5.0)`. In TOML, for `gapless watch --config FILE`: a table `[network]` with
these fields. On the command line: `gapless watch --set FIELD=VALUE`, which goes over the file; `none` stands for no
value. A value that cannot work is refused when the configuration is built, with the field, the value and what is
allowed.

The limiter of a REST host is shared by all controllers of a trio run that talk to it, and made from the
`rate_limit_...` and `circuit_breaker_...` fields of the first of them. `gapless watch` differs in one default:
`reconnect_max_attempts` is `none`, since a shell cannot call `reconnect()`.

| field | unit | default | allowed | effect | where the default comes from |
|---|---|---|---|---|---|
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One field, as texts."""

    name: str
    unit: str
    default: str
    allowed: str
    effect: str
    source: str


def settings() -> Iterator[Setting]:
    """Every field in the order of the configuration."""
    hints = get_type_hints(NetworkConfig)
    for each in fields(NetworkConfig):
        default = "none" if each.default is None else str(each.default)
        yield Setting(
            name=each.name,
            unit=each.metadata["unit"],
            default=default.lower() if hints[each.name] is bool else default,
            allowed=_allowed(hints[each.name], each.metadata["above"], each.metadata["at_least"]),
            effect=each.metadata["effect"],
            source=each.metadata["source"],
        )


def _allowed(hint: object, above: float | None, at_least: float | None) -> str:
    if get_origin(hint) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(hint))
    if hint is bool:
        return "`true`, `false`"
    kind = "whole number" if int in {hint, *get_args(hint)} else "number"
    bound = f" > {above:g}" if above is not None else f" >= {at_least:g}" if at_least is not None else ""
    return f"{kind}{bound}" + (", `none`" if type(None) in get_args(hint) else "")


def markdown() -> str:
    """The document."""
    rows = (
        f"| `{each.name}` | {each.unit} | `{each.default}` | {each.allowed} | {each.effect} | {each.source} |\n"
        for each in settings()
    )
    return _HEAD + "".join(rows)
