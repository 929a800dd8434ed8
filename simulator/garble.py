"""What becomes of a data message that a venue gets wrong: a frame that is no message, or a message that is no datum."""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, ClassVar, Final

import msgspec

from gapless.simulator.failure_modes import CorruptMode, WrongTypesMode
from gapless.simulator.failures import Rule
from gapless.simulator.messages import Frame
from gapless.simulator.seams import Outgoing
from gapless.simulator.strategies import Selecting

_JUMP: Final = 10**12
"""How far an id jumps: no stream gets there."""

CORRUPT: Final[Mapping[str, Callable[[str, int], str]]] = {
    "truncated": lambda text, _: text[: len(text) // 2],
    "not_json": lambda _text, _: "<html><body>502 Bad Gateway</body></html>",
    "empty": lambda _text, _: "",
    "array": lambda text, _: f"[{text}]",
    "scalar": lambda _text, _: "42",
    "brackets": lambda _text, _: "[" * 10_000,
    "surrogate": lambda text, _: text.replace('"symbol":"', '"symbol":"\\ud800', 1),
    "huge": lambda text, size: text[:-1] + ',"padding":"' + "x" * size + '"}',
}
"""Each way to spoil a frame: from its text and the size in bytes of a huge one."""

Fields = dict[str, Any]

WRONG_TYPES: Final[Mapping[str, Callable[[Fields], Fields]]] = {
    "id_text": lambda fields: fields | {"sequence_id": str(fields.get("sequence_id"))},
    "id_fraction": lambda fields: fields | {"sequence_id": 0.5},
    "id_negative": lambda fields: fields | {"sequence_id": -1},
    "id_jump": lambda fields: fields | {"sequence_id": fields.get("sequence_id", 0) + _JUMP},
    "id_backwards": lambda fields: fields | {"sequence_id": max(1, fields.get("sequence_id", 0) // 2)},
    "price_text": lambda fields: fields | {"price": "cheap"},
    "price_null": lambda fields: fields | {"price": None},
    "price_missing": lambda fields: {name: value for name, value in fields.items() if name != "price"},
    "symbol_number": lambda fields: fields | {"symbol": 7},
    "type_missing": lambda fields: {name: value for name, value in fields.items() if name != "type"},
    "type_unknown": lambda fields: fields | {"type": "ORDER_BOOK"},
}
"""Each way to spoil a message's fields."""


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
        return (msgspec.structs.replace(frame, text=CORRUPT[how](frame.text, self._mode.huge_bytes)),)


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
        fields = WRONG_TYPES[how](msgspec.json.decode(frame.text))
        return (msgspec.structs.replace(frame, text=msgspec.json.encode(fields).decode()),)
