"""The base of every configuration object: frozen, keyword-only, checked when built.

A value is checked against its annotation (type and limits) whether it comes from code, from TOML or from the control
API, so there is one list of what is allowed and one kind of message: the field, the value, what was expected.
"""

from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]
"""A number of things; the upper limit only catches slips of the keyboard."""
Positive = Annotated[int, Meta(ge=1, le=1_000_000_000)]
"""A number of things of which there must be one."""
Probability = Annotated[float, Meta(ge=0.0, le=1.0)]
"""0.0 never, 1.0 always."""
Seconds = Annotated[float, Meta(ge=0.0, le=86_400.0)]
"""A duration; a day is longer than any scripted failure and keeps ``inf`` out."""
Timeout = Annotated[float, Meta(gt=0.0, le=3_600.0)]
"""A deadline against a peer; zero would fail everything."""


class SettingsError(ValueError):
    """A configuration value is not allowed; the message names the field, the value and what is."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A frozen record whose fields are checked against their annotations when it is built.

    Raises:
        SettingsError: a field has a value its annotation does not allow.
    """

    def __post_init__(self) -> None:
        for field in msgspec.structs.fields(type(self)):
            value = getattr(self, field.name)
            try:
                checked = msgspec.convert(value, field.type)
            except msgspec.ValidationError as error:
                raise SettingsError(f"{type(self).__name__}.{field.name} = {value!r}: {_in_python(error)}") from None
            msgspec.structs.force_setattr(self, field.name, checked)
        self.check()

    def check(self) -> None:
        """Refuse what single fields cannot tell, through :meth:`not_allowed`."""

    def not_allowed(self, field: str, allowed: str) -> SettingsError:
        """The error for a field whose value contradicts another."""
        return SettingsError(f"{type(self).__name__}.{field} = {getattr(self, field)!r}: expected {allowed}")


SettingsT = TypeVar("SettingsT", bound=Settings)


def decoded(kind: type[SettingsT], build: Callable[[], SettingsT]) -> SettingsT:
    """What ``build`` returns, with the library's complaint turned into a :class:`SettingsError` for ``kind``."""
    try:
        return build()
    except (msgspec.DecodeError, RecursionError) as error:
        raise SettingsError(f"{kind.__name__}: {_in_python(error)}") from None


def _in_python(error: Exception) -> str:
    """The library's words (object, null, array) suit JSON and TOML alike; only its quotes are replaced."""
    return str(error).replace("`", "'")
