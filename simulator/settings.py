"""The base of every configuration object: frozen, keyword-only, checked when built.

A value is checked against its annotation (type and limits) whether it comes from code, from TOML or from the control
API, so there is one list of what is allowed and one kind of message: the field, the value, what was expected. What is
read is therefore taken apart into tables and lists first, and built field by field as code would build it.
"""

from collections.abc import Callable
from typing import Annotated, Final, TypeVar, cast, get_args

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]
"""A number of things; the upper limit only catches slips of the keyboard."""
Positive = Annotated[int, Meta(ge=1, le=1_000_000_000)]
"""A number of things of which there must be one."""
Id = Annotated[int, Meta(ge=1, le=2**63 - 1)]
"""A sequence id or a venue's trade id; real ones are in the thousands of millions."""
Probability = Annotated[float, Meta(ge=0.0, le=1.0)]
"""0.0 never, 1.0 always."""
Seconds = Annotated[float, Meta(ge=0.0, le=86_400.0)]
"""A duration; a day is longer than any scripted failure and keeps ``inf`` out."""
Timeout = Annotated[float, Meta(gt=0.0, le=3_600.0)]
"""A deadline against a peer; zero would fail everything."""


_SHOWN_MAX: Final = 200
"""Characters of a value in a message; what is wrong with a longer one shows in its beginning."""


class SettingsError(ValueError):
    """A configuration value is not allowed; the message names the field, the value and what is.

    Args:
        said: all but the place.
        field: whose value it is.
        element: which element of that value, such as ``[0]``.
        within: where the field stands in a file or a body, such as ``.failures.drop``; None: it comes from code.
    """

    def __init__(self, said: str, *, field: str = "", element: str = "", within: str | None = None) -> None:
        place = element if within is None else f"{within}.{field}{element}"
        super().__init__(f"{said} - at '${place}'" if place else said)
        self._parts = (said, field, element)

    def within(self, place: str) -> "SettingsError":
        """The same, of a field that stands there."""
        said, field, element = self._parts
        return SettingsError(said, field=field, element=element, within=place)


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
                reason, _, element = _in_python(error).partition(" - at '$")
                raise self._refused(field.name, reason, element.rstrip("'")) from None
            msgspec.structs.force_setattr(self, field.name, checked)
        self.check()

    def check(self) -> None:
        """Refuse what single fields cannot tell, through :meth:`not_allowed`."""

    def not_allowed(self, field: str, allowed: str) -> SettingsError:
        """The error for a field whose value contradicts another."""
        return self._refused(field, f"expected {allowed}")

    def _refused(self, field: str, reason: str, element: str = "") -> SettingsError:
        said = f"{type(self).__name__}.{field} = {_shown(getattr(self, field))}: {reason}"
        return SettingsError(said, field=field, element=element)


SettingsT = TypeVar("SettingsT", bound=Settings)


def decoded(kind: type[SettingsT], read: Callable[[], object]) -> SettingsT:
    """The settings in what ``read`` returns: tables and lists as a TOML file or a JSON body has them.

    Raises:
        SettingsError: nothing can be read, a field is unknown, or a value is not allowed.
    """
    try:
        found = read()
        return _built(kind, found, "")
    except (msgspec.DecodeError, RecursionError) as error:
        raise SettingsError(f"{kind.__name__}: {_in_python(error)}") from None


def _built(kind: type[SettingsT], found: object, place: str) -> SettingsT:
    if not isinstance(found, dict):
        return msgspec.convert(found, kind)
    known = {field.name: field.type for field in msgspec.structs.fields(kind)}
    for name in found:
        if name not in known:
            where = f" - at '${place}'" if place else ""
            raise SettingsError(f"{kind.__name__}: unknown field {_shown(name)}{where}; known are {', '.join(known)}")
    values = {name: _value(known[name], value, f"{place}.{name}") for name, value in found.items()}
    try:
        return kind(**values)
    except SettingsError as error:
        raise error.within(place) from None


def _value(annotation: object, value: object, place: str) -> object:
    """A field's value: settings of its own where a table stands for some, else what was read."""
    for each in (annotation, *get_args(annotation)):
        if isinstance(value, dict) and isinstance(each, type) and issubclass(each, Settings):
            return _built(each, cast("object", value), place)
    return value


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # more digits, or more nesting, than Python shows
        return f"<{type(value).__name__} too large to show>"
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}..."


def _in_python(error: Exception) -> str:
    """The library's words (object, null, array) suit JSON and TOML alike; only its quotes are replaced."""
    return str(error).replace("`", "'")
