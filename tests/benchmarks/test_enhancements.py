"""The figures of docs/rest.md are those of its benchmark; the long ones in `make long`."""

import re
from pathlib import Path

import pytest
from trio.testing import MockClock

from benchmarks.enhancements import RATES, Form, batch, pace, wire

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "rest.md").read_text()


def row(beginning: str) -> list[str]:
    """The cells of the one row of a table that begins so."""
    (line,) = re.findall(rf"^\| {re.escape(beginning)} \|(.*)\|$", DOCUMENT, re.MULTILINE)
    return [cell.strip() for cell in line.split("|")]


@pytest.mark.long
@pytest.mark.parametrize("adaptive", [False, True])
async def test_four_streams_alone(adaptive: bool, autojump_clock: MockClock) -> None:
    found = await pace(0, adaptive=adaptive)
    for name in (*RATES, "all data"):
        requests, age_s = row(name)[2 if adaptive else 1].removesuffix(" s").split(", ")
        polled = found[name.removesuffix(" data")]
        assert polled.requests == int(requests)
        assert polled.age_s == pytest.approx(float(age_s), abs=0.015)


@pytest.mark.long
@pytest.mark.parametrize(("lost", "drops"), [("everything, sockets too", 0.0), ("every fifth frame", 0.2)])
async def test_the_gaps_of_fifty_streams(lost: str, drops: float, autojump_clock: MockClock) -> None:
    filled = await batch(drops=drops)
    gaps, requests, a_gap, took = row(lost)
    assert filled.gaps == pytest.approx(int(gaps.replace(",", "")), rel=0.05)
    assert 50 <= filled.requests <= int(requests) == 60
    assert float(a_gap) == pytest.approx(60 / filled.gaps, rel=0.1)
    assert filled.took_s == pytest.approx(float(took.removesuffix(" s")), abs=1.2), "a window of the budget, at most"


@pytest.mark.parametrize(("name", "form"), [("as it is", "off"), ("gzip", "gzip"), ("zstd", "zstd")])
async def test_a_page_on_the_wire(name: str, form: Form, autojump_clock: MockClock) -> None:
    received, read = await wire(form)
    assert f"{read:,}" == row("as it is")[0]
    said = int(row(name)[0].replace(",", ""))
    assert received == pytest.approx(said, rel=0.0 if form == "off" else 0.02), "libraries differ a little"
