"""SVG and PNG: everything is in them, a page can find it, and they carry the digest of their DOT."""

import re
import struct
import sys
from xml.etree import ElementTree as ET

import pytest

from gapless.diagrams import DrawingError, dot, edge_id, png, state_id, svg, trigger_id
from gapless.diagrams.images import digest, png_digest, svg_digest
from gapless.states import ACTIVITIES, TABLE, Effect, State, TransitionTable

MOVES = [row for row in TABLE.rows if row.effect is Effect.MOVES]


@pytest.fixture(scope="module")
def drawn() -> str:
    return svg()


@pytest.fixture(scope="module")
def elements(drawn: str) -> dict[str, ET.Element]:
    root = ET.fromstring(drawn)  # noqa: S314
    return {element.attrib["id"]: element for element in root.iter() if "id" in element.attrib}


def words(element: ET.Element) -> list[str]:
    texts = ("".join(text.itertext()) for text in element.iter("{http://www.w3.org/2000/svg}text"))
    return [stripped for text in texts if (stripped := text.replace("\xa0", " ").strip())]


def test_a_state_is_found_by_its_id_and_names_its_activities(elements: dict[str, ET.Element]) -> None:
    for state in State:
        found = words(elements[state_id(state)])
        assert found[0] == state.name
        assert {activity.name for activity in ACTIVITIES.wanted(state)} <= set(found)
        assert found.count("restarts") == len(ACTIVITIES.restarted(state))


def test_an_arrow_is_found_by_its_id_and_each_of_its_triggers_too(elements: dict[str, ET.Element]) -> None:
    for row in MOVES:
        arrow = elements[edge_id(row.source, row.target)]
        assert row.trigger.name in words(arrow)
        assert row.trigger.name in arrow.attrib["class"].split()
        assert words(elements[trigger_id(row)]) == [row.trigger.name]


def test_there_is_no_arrow_but_the_moves(elements: dict[str, ET.Element]) -> None:
    arrows = {name for name, element in elements.items() if "edge" in element.attrib.get("class", "").split()}

    assert arrows == {edge_id(row.source, row.target) for row in MOVES} | {"edge_start"}


def test_ids_have_no_hyphen_and_are_unique(drawn: str) -> None:
    ids = re.findall(r'\bid="([^"]*)"', drawn)

    assert not [found for found in ids if not re.fullmatch(r"\w+", found)]
    assert len(ids) == len(set(ids))


def test_the_svg_names_a_web_font_stack(drawn: str) -> None:
    assert set(re.findall(r'font-family="([^"]*)"', drawn)) == {"Helvetica,Arial,sans-serif"}


def test_the_svg_carries_the_digest_of_its_dot(drawn: str, without_gap_found: TransitionTable) -> None:
    assert svg_digest(drawn) == digest(dot())
    assert svg_digest(svg(without_gap_found)) == digest(dot(without_gap_found)) != digest(dot())
    assert svg_digest("<svg></svg>") is None


def test_the_png_carries_the_digest_of_its_dot() -> None:
    image = png()

    width, height = struct.unpack_from(">II", image, 16)
    assert width > height > 1000
    assert png_digest(image) == digest(dot())


def test_a_png_that_is_cut_short_or_damaged_has_no_digest() -> None:
    image = png()
    middle = len(image) // 2

    assert png_digest(image[:-1]) is None
    assert png_digest(image[:middle]) is None
    assert png_digest(image[:middle] + bytes([image[middle] ^ 1]) + image[middle + 1 :]) is None
    assert png_digest(b"") is None
    assert png_digest(b"GIF89a") is None


def test_without_pygraphviz_the_error_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygraphviz", None)

    with pytest.raises(DrawingError, match="svg needs pygraphviz"):
        svg()
    assert dot()
