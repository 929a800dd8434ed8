"""What a frame or reply becomes on a bad day, and what no venue should send: every variant from a seed. Pure.

Three ways. *Cut*: any beginning of it. *Noise*: signs replaced, dropped, doubled. *Fields*: the text stays well-formed
JSON, and one value, name or element of it is something else, which is what a careless adapter does not survive.
"""

import json
from collections.abc import Iterator, Sequence
from random import Random
from typing import Final, TypeAlias

from gapless.simulator.testkit.conformance.examples import Frame

Path: TypeAlias = tuple[str | int, ...]
"""The way to a value in JSON: names and positions, outermost first."""

CUTS: Final = 48
"""Beginnings of one frame, evenly spread."""
NOISES: Final = 64
"""Frames with noise in them. More finds little: most are no JSON any more, and so all alike."""
PATHS_MAX: Final = 48
"""Values of one frame that are replaced; of a large page a sample."""

_VALUES: Final = (
    *("null", "true", "false", "0", "-1", "1.5", "1e400", "-1e400", "NaN", "Infinity", str(2**63), str(10**30)),
    *('""', '" "', '"x"', '"NaN"', '"Infinity"', '"-0"', '"1e5"', '"1e999"', '"1_000"', '" 1"', '"0x10"', '"1.2.3"'),
    *('"\\u0661\\u0662"', '"\\ud800"', '"\\u0000"', f'"{"9" * 5_000}"', f'"{"x" * 5_000}"', "9" * 5_000),
    *("[]", "{}", "[[]]", '{"":{}}', "[null]", '[{"x":1}]'),
)
"""JSON texts to put in the place of a value; some only Python takes for JSON."""
_NAMES: Final = ("", " ", "x" * 300, "\u0000", "e\u0301", "\\ud800")
_NOISE: Final = '{}[]",:0123456789eE.-+\\ntrufalsx\x00\x7f\u00e9\u2028'
_HOLE: Final = "\ue000hole\ue000"

HOSTILE: Final[Sequence[Frame]] = (
    *("", " ", "null", "true", "0", "-0", "1e400", "NaN", '""', '"x"', "[]", "{}", "[{}]", "[[]]", "[null]", "{", "}"),
    *("\x00", "\ufeff{}", "\ud800", '"\ud800"', '{"\ud800":1}', "{}{}", '{"a":1}\n{"a":2}', "'{}'", "<html>", "pong"),
    *("[" * 100_000, '{"a":' * 50_000, "[" * 5_000 + "]" * 5_000, "9" * 100_000, '"' + "x" * 100_000 + '"', "{" * 9),
    *(
        b"",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"\x00" * 64,
        b"\x1f\x8b\x08\x00",
        b'{"\xff":1}',
        b'"\xc3"',
        b"\xef\xbb\xbf{}",
    ),
)
"""Frames that no example is needed for."""


def mutated(frame: Frame, random: Random) -> Iterator[Frame]:
    """Variants of a frame, every other one as bytes; the same ones for the same state of ``random``."""
    text = frame if isinstance(frame, str) else frame.decode("utf-8", "surrogateescape")
    for number, variant in enumerate(_variants(text, random)):
        yield variant.encode("utf-8", "surrogatepass") if number % 2 else variant
    raw = text.encode("utf-8", "surrogateescape")
    for _ in range(NOISES // 4):
        at = random.randrange(len(raw) or 1)
        yield raw[:at] + random.randbytes(random.randint(1, 4)) + raw[at + random.randint(0, 4) :]


def _variants(text: str, random: Random) -> Iterator[str]:
    for cut in range(CUTS):
        yield text[: cut * len(text) // CUTS]
    for _ in range(NOISES):
        yield _with_noise(text, random)
    try:
        content: object = json.loads(text)
    except (ValueError, RecursionError):
        return
    yield from _with_other_fields(content, random)


def _with_noise(text: str, random: Random) -> str:
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(text) or 1)
        match random.randrange(4):
            case 0:
                text = text[:at] + random.choice(_NOISE) + text[at + 1 :]
            case 1:
                text = text[:at] + random.choice(_NOISE) + text[at:]
            case 2:
                text = text[:at] + text[at + random.randint(1, 8) :]
            case _:
                text = text[:at] + text[at : at + random.randint(1, 30)] + text[at:]
    return text


def _with_other_fields(content: object, random: Random) -> Iterator[str]:
    """Each value replaced in turn, each field left out, renamed and doubled, each list emptied by one."""
    paths = list(paths_of(content))
    for path in paths if len(paths) <= PATHS_MAX else random.sample(paths, PATHS_MAX):
        around = json.dumps(_replaced(content, path, _HOLE))
        hole = json.dumps(_HOLE)
        yield from (around.replace(hole, value) for value in _VALUES)
        if path:
            yield json.dumps(_without(content, path))
        if path and isinstance(path[-1], str):
            yield from (json.dumps(_renamed(content, path, name)) for name in _NAMES)
            name = json.dumps(path[-1])
            yield around.replace(f"{name}: {hole}", f"{name}: 1, {name}: null")


def as_bytes(frame: Frame) -> bytes:
    """A frame as a body; lone surrogates become what no UTF-8 has."""
    return frame if isinstance(frame, bytes) else frame.encode("utf-8", "surrogatepass")


def paths_of(content: object, path: Path = ()) -> Iterator[Path]:
    """The way to every value in a piece of JSON, the whole first."""
    yield path
    if isinstance(content, dict):
        for name, value in content.items():
            yield from paths_of(value, (*path, name))
    elif isinstance(content, list):
        for at, value in enumerate(content):
            yield from paths_of(value, (*path, at))


def _replaced(content: object, path: Path, value: object) -> object:
    if not path:
        return value
    first, rest = path[0], path[1:]
    if isinstance(content, dict):
        return {name: _replaced(each, rest, value) if name == first else each for name, each in content.items()}
    if isinstance(content, list):
        return [_replaced(each, rest, value) if at == first else each for at, each in enumerate(content)]
    return content


def _without(content: object, path: Path) -> object:
    first, rest = path[0], path[1:]
    if isinstance(content, dict):
        kept = content.items() if rest else [(name, each) for name, each in content.items() if name != first]
        return {name: _without(each, rest) if name == first else each for name, each in kept}
    if isinstance(content, list):
        listed = list(enumerate(content))
        kept_rows = listed if rest else [(at, each) for at, each in listed if at != first]
        return [_without(each, rest) if at == first else each for at, each in kept_rows]
    return content


def _renamed(content: object, path: Path, name: str) -> object:
    first, rest = path[0], path[1:]
    if isinstance(content, dict):
        if not rest:
            return {name if each == first else each: value for each, value in content.items()}
        return {each: _renamed(value, rest, name) if each == first else value for each, value in content.items()}
    if isinstance(content, list):
        return [_renamed(each, rest, name) if at == first else each for at, each in enumerate(content)]
    return content
