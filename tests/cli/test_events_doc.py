"""``docs/events.md`` against the code: every event and field in it, nothing else, and its program does what it says."""

import ast
import enum
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Union, get_args, get_origin

import msgspec
import pytest

from gapless import controller
from gapless.controller import AnyEvent, Balance, ContinuityLost, GapFilled, MarketData, Order, Source, State, Trigger

DOC = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")
STRUCTS: dict[str, type[msgspec.Struct]] = {each.__name__: each for each in (*get_args(AnyEvent), Order, Balance)}

_JSON_TYPES: dict[object, str] = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def sections() -> dict[str, str]:
    """Heading -> text, of the events and what is in them."""
    parts = re.split(r"^### (.+)$", DOC, flags=re.MULTILINE)
    return {
        name: re.split(r"^## ", text, flags=re.MULTILINE)[0]
        for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def table(name: str) -> dict[str, tuple[str, str, str]]:
    """Field -> type, unit, meaning."""
    lines = [line for line in sections()[name].splitlines() if line.startswith("| `")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {field.strip("`"): (kind, unit, meaning) for field, kind, unit, meaning in rows}


def json_type(annotation: object) -> str:
    """What a field is in JSON, in the words of the document."""
    if get_origin(annotation) is Literal:
        return "string"
    if get_origin(annotation) in {types.UnionType, Union}:
        return " or ".join(json_type(each) for each in get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return "string"
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return "object"
    return _JSON_TYPES[annotation]


def test_every_event_has_its_section_and_nothing_else_has() -> None:
    assert set(sections()) == set(STRUCTS)


@pytest.mark.parametrize("name", STRUCTS)
def test_every_field_is_there_in_order_with_its_type_and_meaning(name: str) -> None:
    documented = table(name)
    actual = {field.name: json_type(field.type) for field in msgspec.structs.fields(STRUCTS[name])}

    assert {field: kind for field, (kind, _unit, _meaning) in documented.items()} == actual
    assert list(documented) == list(actual)
    assert all(meaning for _kind, _unit, meaning in documented.values())
    for field in documented.keys() & {"at", "received_at"}:
        assert documented[field][1] == "Unix s"


@pytest.mark.parametrize(
    ("section", "words"), [("MarketData", Source), ("StateChanged", State), ("StateChanged", Trigger)]
)
def test_every_word_of_an_enumeration_is_explained(section: str, words: type[enum.Enum]) -> None:
    for word in words:
        assert f"`{word.value}`" in sections()[section]


def test_the_reasons_of_a_loss_are_those_of_the_code() -> None:
    assert reasons_in("ContinuityLost") == set(
        re.findall(r"``(\w+)``", (ContinuityLost.__doc__ or "").split("Reasons:")[1])
    )


def test_the_reasons_of_a_filling_are_those_of_the_code() -> None:
    assert reasons_in("GapFilled") == set(re.findall(r"``(\w+)``", (GapFilled.__doc__ or "").split("``reason``:")[1]))


def test_the_reasons_of_a_gap_are_those_of_the_code() -> None:
    assert reasons_in("GapFound") == set(reasons_of_gaps())


def reasons_in(section: str) -> set[str]:
    listed = sections()[section].split("Reasons:")[1]
    return {word for sentence in re.split(r"[;:]\s|\A\s*", listed) for word in re.findall(r"\A`(\w+)`", sentence)}


def reasons_of_gaps() -> Iterator[str]:
    """The reason in every call that opens a gap, at once or after the reorder window."""
    places = {"open_gap": -1, "_hesitate_or_open": 2}
    for file in Path(controller.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in places:
                reason = node.args[places[node.func.attr]]
                if not isinstance(reason, ast.Name):  # passed on: named by whoever calls
                    assert isinstance(reason, ast.Constant)
                    yield str(reason.value)


def block(language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```$", DOC, flags=re.MULTILINE | re.DOTALL)
    assert len(found) == 1
    return str(found[0])


def test_the_examples_are_what_the_code_writes() -> None:
    for line in block("json").splitlines():
        assert msgspec.json.encode(msgspec.json.decode(line, type=AnyEvent)).decode() == line


def check(lines: list[str]) -> subprocess.CompletedProcess[str]:
    """Run the document's program on these lines."""
    return subprocess.run(
        [sys.executable, "-c", block("python")],
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def datum(number: int, epoch: str | None) -> str:
    event = MarketData(
        channel="ticker",
        symbol="BTC/USD",
        sequence_id=number,
        epoch=epoch,
        source=Source.LIVE,
        timestamp="2026-01-01T00:00:00.000Z",
        price=1.0,
        bid=None,
        ask=None,
        volume_24h=None,
        received_at=0.0,
        generation=1,
    )
    return msgspec.json.encode(event).decode()


def said(kind: str, start: int, end: int | None, epoch: str | None) -> str:
    fields = {"channel": "ticker", "symbol": "BTC/USD", "epoch": epoch, "start_seq": start, "end_seq": end}
    return msgspec.json.encode({"event": kind, **fields, "reason": "", "at": 0.0}).decode()


def restarted(old: str | None, new: str | None) -> str:
    fields = {"channel": "ticker", "symbol": "BTC/USD", "old_epoch": old, "new_epoch": new, "at": 0.0}
    return msgspec.json.encode({"event": "StreamReset", **fields}).decode()


def run_of(old: str | None, new: str | None) -> list[str]:
    """5, 6, a gap of two filled and one lost, 10; a restart; 1 and 2."""
    return [
        datum(5, old),
        datum(6, old),
        said("GapFound", 7, 9, old),
        datum(10, old),
        datum(8, old),
        datum(7, old),
        said("GapFilled", 7, 8, old),
        said("ContinuityLost", 9, 9, old),
        said("ContinuityLost", 11, None, old),
        restarted(old, new),
        datum(2, new),
        datum(1, new),
    ]


@pytest.mark.parametrize(("old", "new"), [("e-1", "e-2"), (None, None)])
def test_the_program_sees_a_whole_stream(old: str | None, new: str | None) -> None:
    done = check(run_of(old, new))

    assert (done.returncode, done.stdout) == (0, "whole: 7 delivered, 0 in open gaps\n")


def test_the_program_counts_open_gaps() -> None:
    done = check([datum(5, "e-1"), said("GapFound", 6, 8, "e-1"), datum(9, "e-1")])

    assert (done.returncode, done.stdout) == (0, "whole: 2 delivered, 3 in open gaps\n")


@pytest.mark.parametrize(
    ("index", "says"), [(1, "6 is missing"), (5, "7 is missing"), (7, "whole"), (11, "1 is missing")]
)
def test_the_program_sees_a_line_taken_away(index: int, says: str) -> None:
    """Without the loss, the gap counts as open: nothing is claimed that is not so."""
    lines = run_of("e-1", "e-2")

    done = check(lines[:index] + lines[index + 1 :])

    assert says in done.stdout
    assert done.returncode == (says != "whole")


def test_the_program_sees_what_came_twice_and_what_was_both() -> None:
    done = check([*run_of("e-1", "e-2"), datum(2, "e-2"), said("ContinuityLost", 1, 1, "e-2")])

    assert done.returncode == 1
    assert "2 came twice" in done.stdout
    assert "1 came and was reported lost" in done.stdout
