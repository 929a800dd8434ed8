"""What becomes of a data message that a venue gets wrong: a frame that is no message, or a message that is no datum."""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, ClassVar, Final

import msgspec

from gapless.simulator.failure_modes import CorruptMode, WrongTypesMode
from gapless.simulator.failures import Rule
from gapless.simulator.messages import FieldNames, Frame
from gapless.simulator.seams import Outgoing
from gapless.simulator.strategies import Selecting

_JUMP: Final = 10**12
"""How far an id jumps: no stream gets there."""
_exact: Final = msgspec.json.Decoder(float_hook=lambda digits: msgspec.Raw(digits.encode()))
"""Leaves the digits of the numbers that are not spoilt as they are."""

CORRUPT: Final[Mapping[str, Callable[[Frame, int], str]]] = {
    "truncated": lambda frame, _: frame.text[: len(frame.text) // 2],
    "not_json": lambda _frame, _: "<html><body>502 Bad Gateway</body></html>",
    "empty": lambda _frame, _: "",
    "array": lambda frame, _: f"[{frame.text}]",
    "scalar": lambda _frame, _: "42",
    "brackets": lambda _frame, _: "[" * 10_000,
    "surrogate": lambda frame, _: frame.text.replace(
        f'"{frame.fields.symbol}":"', f'"{frame.fields.symbol}":"\\ud800', 1
    ),
    "huge": lambda frame, size: frame.text[:-1] + ',"padding":"' + "x" * size + '"}',
}
"""Each way to spoil a frame: from the frame and the size in bytes of a huge one."""

Fields = dict[str, Any]

WRONG_TYPES: Final[Mapping[str, Callable[[Fields, FieldNames], Fields]]] = {
    "id_text": lambda fields, name: fields | {name.id: str(fields.get(name.id))},
    "id_fraction": lambda fields, name: fields | {name.id: 0.5},
    "id_negative": lambda fields, name: fields | {name.id: -1},
    "id_jump": lambda fields, name: fields | {name.id: fields.get(name.id, 0) + _JUMP},
    "id_backwards": lambda fields, name: fields | {name.id: max(1, fields.get(name.id, 0) // 2)},
    "price_text": lambda fields, name: fields | {name.price: "cheap"},
    "price_null": lambda fields, name: fields | {name.price: None},
    "price_missing": lambda fields, name: _without(fields, name.price),
    "symbol_number": lambda fields, name: fields | {name.symbol: 7},
    "type_missing": lambda fields, name: _without(fields, name.type),
    "type_unknown": lambda fields, name: fields | {name.type: "ORDER_BOOK"},
}
"""Each way to spoil a message's fields, whatever they are called."""


def _without(fields: Fields, name: str) -> Fields:
    return {other: value for other, value in fields.items() if other != name}


def spoilt(frame: Frame, how: str) -> str:
    """The frame's text with one of :data:`WRONG_TYPES` in it."""
    message = _exact.decode(frame.text)
    names = frame.fields
    within = names.within if names.type_within is None or not how.startswith("type") else names.type_within
    if not within:
        return msgspec.json.encode(WRONG_TYPES[how](message, names)).decode()
    parent = message
    for step in within[:-1]:
        parent = parent[step]
    parent[within[-1]] = WRONG_TYPES[how](parent[within[-1]], names)
    return msgspec.json.encode(message).decode()


class Corrupt(Selecting):
    """A data message goes out as a frame that is no message."""

    kind: ClassVar[str] = "corrupt"

    def __init__(self, rule: Rule, session_id: str, rng: Random) -> None:
        super().__init__(rule, session_id, rng)
        self._mode = rule.mode(CorruptMode)

    def chosen(self, frame: Frame, now: float) -> Sequence[Outgoing]:  # noqa: ARG002
        """The frame, spoilt in one of the mode's ways."""
        how = self.rng.choice(self._mode.how)
        self.note(frame, how)
        return (msgspec.structs.replace(frame, text=CORRUPT[how](frame, self._mode.huge_bytes)),)


class WrongTypes(Selecting):
    """A data message goes out with a field that is wrong."""

    kind: ClassVar[str] = "wrong_types"

    def __init__(self, rule: Rule, session_id: str, rng: Random) -> None:
        super().__init__(rule, session_id, rng)
        self._mode = rule.mode(WrongTypesMode)

    def chosen(self, frame: Frame, now: float) -> Sequence[Outgoing]:  # noqa: ARG002
        """The message, with one of the mode's faults."""
        how = self.rng.choice(self._mode.how)
        self.note(frame, how)
        return (msgspec.structs.replace(frame, text=spoilt(frame, how)),)
