"""The benchmarks still run: every contender of gapless's own, on sizes that measure nothing. Peers never run here."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks import chart, frames, harness, own, report
from benchmarks.claims import claims
from benchmarks.processes import MeasurementError, result_of, server
from benchmarks.registry import CONTENDERS, Contender
from benchmarks.scenarios import SCENARIOS

ROOT = Path(__file__).resolve().parents[2]
OWN = [each for each in CONTENDERS if not each.is_peer]
BURSTS, LONE = (next(each for each in SCENARIOS if each.name == name) for name in ("bursts", "lone-1000"))


@pytest.fixture(scope="module")
def addresses() -> Iterator[dict[str, str]]:
    with server() as started:
        yield started


@pytest.mark.parametrize("contender", OWN, ids=lambda each: each.name)
def test_each_contender_of_our_own_takes_all_that_is_sent(contender: Contender, addresses: dict[str, str]) -> None:
    figures = harness.run_once(BURSTS, contender, addresses, 4_000)
    assert figures["messages"] >= 1_000
    assert figures["rate_per_s"] > 0
    assert "notes" not in figures


def test_a_fixed_rate_gives_latencies_and_a_table_a_file_and_a_plot_are_made_of_them(
    addresses: dict[str, str], tmp_path: Path
) -> None:
    said: list[str] = []
    absent = replace(OWN[0], name="a peer that nobody installed", environment="nowhere", packages=("nothing",))
    scenario = replace(LONE, name="twenties", rate=2_000, burst=20, seconds=0.2)
    table = harness.measure(scenario, [OWN[0], absent], addresses, repeats=1, say=said.append)
    (figures,) = table.samples[OWN[0].name]
    assert 0 < figures["p50_us"] <= figures["p99_us"]
    assert "not measured: no environment" in report.as_text(table)

    document = report.as_json([table], {})
    report.write(document, tmp_path / "some" / "latest.json")
    assert json.loads((tmp_path / "some" / "latest.json").read_text())["scenarios"]["twenties"]["samples"]
    assert OWN[0].name in "".join(ET.fromstring(chart.as_svg(document)).itertext())  # noqa: S314  # our own text


def test_a_gap_costs_the_requests_that_its_pages_cost_and_the_verdict_says_so(addresses: dict[str, str]) -> None:
    cases = own.measures(quick=True)["repair"]
    chosen = {case: cases[case] for case in ("wire, 1 id", "wire, 1,001 ids")}
    rows = own.measure("repair", chosen, addresses, repeats=1, say=lambda _: None)
    assert [each.verdict for each in claims([], {"repair": rows})] == ["reached", "reached"], own.as_text(
        "repair", rows
    )


def test_a_contender_that_fails_says_why(addresses: dict[str, str]) -> None:
    nowhere = addresses | {"ws_url": "nonsense://nowhere"}
    with pytest.raises(MeasurementError, match="ConfigurationError"):
        harness.run_once(BURSTS, OWN[0], nowhere, 100)
    with pytest.raises(MeasurementError, match="No module named"):
        result_of("benchmarks.contenders.nobody", {})


def test_prebuilt_blocks_hold_each_message_once_and_a_large_one_is_large() -> None:
    sent = b"".join(part for block in frames.blocks(130, 2, large=True) for part in block)
    payloads = [frames.payload(index, frames.symbols(2), frames.STAMP_BASE_US, large=True) for index in range(130)]
    assert sent == b"".join(map(frames.frame, payloads))
    assert len(payloads[0]) == pytest.approx(frames.LARGE_BYTES, rel=0.05)
    last = json.loads(payloads[-1])
    assert (last["symbol"], last["sequence_id"]) == (frames.symbols(2)[129 % 2], 129 // 2 + 1)


def test_the_command_teaches() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "--only" in shown.stdout
