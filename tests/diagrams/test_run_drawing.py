"""A run as it is drawn: the words are in the SVG, the PNG opens, sizes stay bounded, nothing of a peer breaks it."""

import struct
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from gapless.diagrams.run import DrawingError, Run, picture, read_run, render
from tests.diagrams.test_run_model import data, gap, line, move

LIMIT_BYTES = 2_000_000


@pytest.fixture
def eventful() -> Run:
    return read_run(
        [
            line("Fault", 2, text="goes silent", seconds=3),
            move(0, "RECONNECTING", "RESYNCING"),
            move(0.5, "RESYNCING", "CONNECTED", "RESYNCED"),
            *(data(number / 10, number) for number in range(1, 20)),
            move(4, "CONNECTED", "SILENT", "IDLE"),
            move(5, "SILENT", "REST_FALLBACK", "SILENCE_CONFIRMED"),
            line("RestRequest", 5, path="/api", status=429),
            line("RestRequest", 6, path="/api", status=200),
            *(data(6, number, "POLL") for number in range(20, 40)),
            move(7, "REST_FALLBACK", "RECONNECTING", "RETRY_DUE", 2),
            gap("GapFound", 8, 40, 59),
            gap("GapFilled", 9, 40, 49),
            *(data(9, number, "BACKFILL") for number in range(40, 50)),
            gap("ContinuityLost", 9, 50, 59, "evicted"),
            line("StreamReset", 10, old_epoch="e-1", new_epoch="e-2"),
            data(11, 1),
            gap("GapFound", 11.5, 2, 3),
            data(12, 4),
        ]
    )


def texts(svg: bytes) -> str:
    found = [each.text or "" for each in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314  # our own
    return "\n".join(found)


def test_the_words_are_text_in_the_svg(eventful: Run) -> None:
    said = texts(picture(eventful, "svg", "a test"))

    for words in (
        "2 ids still missing at the end, 10 ids lost",
        "51 delivered (21 live, 10 backfilled, 20 polled)",
        "a test",
        *("CONNECTED", "RESYNCING", "RECONNECTING", "SILENT", "REST_FALLBACK"),
        "goes silent",
        "ticker:BTC/USD",
        "10 lost: evicted",
        "reset: epoch e-2",
        *("attempts", "REST answered", "REST 429, 418", "REST failed"),
        *("live, over the WebSocket", "polled over REST", "backfilled over REST"),
        *("gap, from found to filled", "lost for good", "gap, still open at the end", "the venue restarted"),
    ):
        assert words in said


def test_the_same_run_is_the_same_bytes(eventful: Run) -> None:
    assert picture(eventful, "svg") == picture(eventful, "svg")
    assert picture(eventful, "png") == picture(eventful, "png")


def test_the_png_is_one_of_readable_size(eventful: Run, tmp_path: Path) -> None:
    render(eventful, tmp_path / "a.PNG")

    drawn = (tmp_path / "a.PNG").read_bytes()
    width, height = struct.unpack(">II", drawn[16:24])
    assert drawn.startswith(b"\x89PNG\r\n\x1a\n")
    assert drawn.endswith(b"IEND\xaeB`\x82")
    assert width > 1_800
    assert height > 600


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [move(0, "RECONNECTING", "RESYNCING")],
        [data(0, 2**63 - 1)],
        [data(0, None)],
        [gap("GapFound", 0, 1, 2**63 - 1)],
        [gap("ContinuityLost", 0, 7, None, "epoch_ended")],
        [line("StreamRejected", 0, code="unknown_symbol", message="")],
        [line("Fault", 0, text="nothing else")],
        [line("RestRequest", 0, path="/", status=None)],
        [line("CircuitChanged", 0, circuit="open")],
        [line("ReconnectGaveUp", 0, attempts=10, reason="refused")],
        [data(0, 1), data(9e6, 2)],
        [data(-1_767_225_600.0, 1), data(9e10, 2)],
    ],
    ids=lambda lines: str(lines[0])[:40] if lines else "empty",
)
def test_a_poor_or_absurd_run_is_a_sane_picture(lines: list[bytes]) -> None:
    run = read_run(lines)

    assert picture(run, "png").startswith(b"\x89PNG")
    assert texts(picture(run, "svg"))


def test_what_a_peer_calls_itself_stays_text() -> None:
    names = ["<script>alert(1)</script>", "$\\frac{a", "a\x00b\u202e\x1b[0m", "比特币/美元 🚀", "%s {0}", "x" * 500]
    run = read_run([line for name in names for line in (data(0, 1, symbol=name), data(1, 2, symbol=name))])

    drawn = picture(run, "svg", "<b>&amp;$x$")

    said = texts(drawn)
    assert b"<script" not in drawn
    assert "ticker:<script>alert(1)</script>" in said
    assert "ticker:$\\frac{a" in said
    assert "ticker:a\N{REPLACEMENT CHARACTER}b" in said
    assert "<b>&amp;$x$" in said
    assert "x" * 60 not in said


def test_a_hundred_thousand_points_are_an_image_within_a_small_svg() -> None:
    lines = [data(number / 1000, number, symbol=f"S{number % 12:02}") for number in range(100_000)]
    run = read_run(lines)

    drawn = picture(run, "svg")

    said = texts(drawn)
    assert len(drawn) < LIMIT_BYTES
    assert "100,000 delivered" in said
    assert "drawn as an image within the SVG; none is left out" in said
    assert "The busiest 8 of 12 streams are drawn" in said
    assert said.count("ticker:S") == 8 + 4


def test_just_below_the_limit_the_svg_is_small_as_well() -> None:
    flaps = [
        move(number / 10, before, after)
        for number in range(0, 4_000, 2)
        for number, before, after in (
            (number, "CONNECTED", "RESYNCING"),
            (number + 1, "RESYNCING", "CONNECTED"),
        )
    ]
    points = [data(number / 10, number) for number in range(4_900)]

    assert len(picture(read_run([*flaps, *points]), "svg")) < LIMIT_BYTES


def test_many_gaps_are_bounded_as_well() -> None:
    lines = [
        each
        for number in range(0, 20_000, 2)
        for each in (
            data(number / 10, number),
            gap("GapFound", number / 10, number + 1, number + 1),
            gap("GapFilled", number / 10 + 0.01, number + 1, number + 1),
        )
    ]

    assert len(picture(read_run(lines), "svg")) < LIMIT_BYTES


def test_hours_are_labelled_as_hours() -> None:
    said = texts(picture(read_run([data(0, 1), data(4 * 3_600, 2)]), "svg"))

    assert "2:00 h" in said
    assert "7,200 s" not in said


def test_without_matplotlib_one_line_says_how_to_get_it(eventful: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("gapless.diagrams.run.")]:
        if name.endswith(("drawing", "sheet", "panels", "stream_panel")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    with pytest.raises(DrawingError, match=r"pip install 'gapless\[timeline\]'"):
        picture(eventful, "svg")


def test_an_unknown_suffix_is_refused_before_anything_is_drawn(eventful: Run, tmp_path: Path) -> None:
    with pytest.raises(DrawingError, match=r"expected a name that ends with \.svg or \.png"):
        render(eventful, tmp_path / "a.jpg")
