"""The picture stays readable: nothing overlaps, arrows are short of surprises, colours have contrast."""

from itertools import combinations, pairwise

import pytest

from gapless.diagrams.contents import Arrow, arrows
from gapless.diagrams.geometry import Box, Point
from gapless.diagrams.layout import Layout
from gapless.diagrams.style import CARD, LOOKS, MUTED, PANEL, TEXT
from gapless.states import TABLE, State

LAYOUT = Layout(5)
ARROWS = arrows(TABLE)
CARDS = [LAYOUT.card(state) for state in State]


def segments(arrow: Arrow) -> list[tuple[Point, Point]]:
    return list(pairwise(LAYOUT.route(arrow.source, arrow.target).corners))


def label(arrow: Arrow) -> Box:
    """A label's place, for a usual sans-serif: 7.9 points for a capital at 11.25, 17 for a line."""
    width = 7.9 * max(len(row.trigger.name) for row in arrow.rows)
    height = 17.0 * len(arrow.rows)
    middle = LAYOUT.route(arrow.source, arrow.target).label
    return Box(left=middle.x - width / 2, top=middle.y - height / 2, width=width, height=height)


def overlap(one: Box, other: Box) -> bool:
    return one.left < other.right and other.left < one.right and one.top < other.bottom and other.top < one.bottom


def span(segment: tuple[Point, Point], margin: float = 0.0) -> Box:
    """A level or upright segment as a very thin box."""
    (x1, y1), (x2, y2) = segment
    return Box(
        left=min(x1, x2) - margin,
        top=min(y1, y2) - margin,
        width=abs(x1 - x2) + 2 * margin,
        height=abs(y1 - y2) + 2 * margin,
    )


def test_every_state_has_a_look_and_a_place_inside_the_picture() -> None:
    assert set(LOOKS) == set(State)
    for card in CARDS:
        assert 0 < card.left < card.right < LAYOUT.canvas.right
        assert 0 < card.top < card.bottom < LAYOUT.notes.top


def test_cards_do_not_overlap() -> None:
    assert not [pair for pair in combinations(CARDS, 2) if overlap(*pair)]


@pytest.mark.parametrize("arrow", ARROWS, ids=lambda arrow: f"{arrow.source.name}-{arrow.target.name}")
def test_an_arrow_runs_level_or_upright_from_border_to_border_and_round_every_card(arrow: Arrow) -> None:
    for start, end in segments(arrow):
        assert start.x == end.x or start.y == end.y
    for card in CARDS:
        assert not [segment for segment in segments(arrow) if overlap(card, span(segment))]
    corners = LAYOUT.route(arrow.source, arrow.target).corners
    for place, card in ((corners[0], LAYOUT.card(arrow.source)), (corners[-1], LAYOUT.card(arrow.target))):
        assert place.x in {card.left, card.right} or place.y in {card.top, card.bottom}
        assert card.left <= place.x <= card.right
        assert card.top <= place.y <= card.bottom


@pytest.mark.parametrize("arrow", ARROWS, ids=lambda arrow: f"{arrow.source.name}-{arrow.target.name}")
def test_a_label_covers_its_own_arrow_and_nothing_else(arrow: Arrow) -> None:
    mine = label(arrow)

    assert [segment for segment in segments(arrow) if overlap(mine, span(segment, 0.1))]
    assert not [card for card in CARDS if overlap(mine, card)]
    for other in ARROWS:
        if other is not arrow:
            assert not overlap(mine, label(other)), other
            assert not [segment for segment in segments(other) if overlap(mine, span(segment, 2))], other


def test_arrows_meet_only_where_they_must() -> None:
    crossings = [
        {one.source, one.target} | {other.source, other.target}
        for one, other in combinations(ARROWS, 2)
        for mine in segments(one)
        for theirs in segments(other)
        if overlap(span(mine, 1), span(theirs, 1))
    ]

    # LINK_LOST from RESYNCING crosses the two arrows between RECONNECTING and SILENT; nothing else crosses anything.
    everyone_but_connected = set(State) - {State.CONNECTED}
    assert crossings == [everyone_but_connected] * 2


def test_a_route_that_was_never_chosen_is_straight_from_border_to_border() -> None:
    route = LAYOUT.route(State.REST_FALLBACK, State.CONNECTED)

    start, end = route.corners
    fallback, connected = LAYOUT.card(State.REST_FALLBACK), LAYOUT.card(State.CONNECTED)
    assert start.x == fallback.right or start.y == fallback.top
    assert end.x == connected.left or end.y == connected.bottom


def luminance(colour: str) -> float:
    """Relative luminance of ``#RRGGBB`` by WCAG 2."""
    channels = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_text_has_the_contrast_that_wcag_asks_for() -> None:
    assert contrast(TEXT, CARD) >= 4.5
    assert min(contrast(MUTED, CARD), contrast(MUTED, PANEL)) >= 4.5
    for look in LOOKS.values():
        assert contrast(look.on_fill, look.fill) >= 4.5
        assert contrast(look.ink, PANEL) >= 4.5
        assert contrast(TEXT, look.tint) >= 4.5
    assert len({look.condition for look in LOOKS.values()}) == len(LOOKS)
