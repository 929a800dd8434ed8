"""``docs/metrics.md`` against the code: every metric in it, nothing else, and its examples run."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import REGISTRY
from trio.testing import MockClock

from gapless.controller.metrics import CATALOGUE
from gapless.controller.stats import LOSS_REASONS
from tests.kit import world

DOC = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
SNAPSHOT, PROMETHEUS, OPENTELEMETRY = re.findall(r"^```python\n(.*?)^```$", DOC, flags=re.MULTILINE | re.DOTALL)


def test_every_metric_is_described_and_nothing_else() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in DOC.splitlines() if line.startswith("| `")
    ]
    assert rows == [
        [
            f"`{each.name}`",
            f"`{each.prometheus_name}`",
            each.kind.value,
            f"`{each.unit}`",
            ", ".join(f"`{label}`" for label in each.labels),
            each.meaning,
        ]
        for each in CATALOGUE
    ]


def test_what_is_named_elsewhere_on_the_page_exists() -> None:
    names = {each.prometheus_name for each in CATALOGUE}
    assert set(re.findall(r"gapless_[a-z_]+", DOC)) <= names


def test_the_reasons_of_losses_are_those_of_the_events() -> None:
    """Each is exported as 0 until it occurs, so none may be forgotten."""
    events = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")
    lost = events.split("\n### ContinuityLost")[1].split("\n### ")[0].split("\nReasons: ")[1]
    assert re.findall(r"(?:^|; )`([a-z_]+)`", " ".join(lost.split())) == list(LOSS_REASONS)


def test_no_name_is_the_namespace_of_another() -> None:
    """As the conventions of OpenTelemetry advise."""
    names = [each.name for each in CATALOGUE]
    assert len(set(names)) == len(names)
    assert not [(one, other) for one in names for other in names if other.startswith(f"{one}.")]


def main_of(example: str) -> Callable[..., Awaitable[None]]:
    namespace: dict[str, Any] = {}
    exec(compile(example, "docs/metrics.md", "exec"), namespace)  # noqa: S102  # our own document
    main: Callable[..., Awaitable[None]] = namespace["main"]
    return main


async def test_the_example_of_the_snapshot(autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]) -> None:
    async with world() as w:
        await main_of(SNAPSHOT)(w.ws_url, w.rest_url)
    state, live, gaps, _requests = capsys.readouterr().out.split()
    assert (state, gaps) == ("State.CONNECTED", "0")
    assert int(live) > 40


async def test_the_example_of_prometheus(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server of the library is not started: it would keep its port for as long as the process lives."""
    served: list[tuple[int, str]] = []
    monkeypatch.setattr("prometheus_client.start_http_server", lambda port, addr: served.append((port, addr)))
    async with world() as w, trio.open_nursery() as nursery:
        nursery.start_soon(main_of(PROMETHEUS), w.ws_url, w.rest_url, 9_000)
        await trio.sleep(5)
        assert served == [(9_000, "127.0.0.1")]
        live = REGISTRY.get_sample_value("gapless_delivered_total", {"feed": "reference", "source": "LIVE"})
        assert live is not None
        assert live >= 45
        nursery.cancel_scope.cancel()
    assert REGISTRY.get_sample_value("gapless_streams", {"feed": "reference"}) is None


async def test_the_example_of_opentelemetry(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    monkeypatch.setattr("opentelemetry.metrics.get_meter_provider", lambda: provider)
    async with world() as w, trio.open_nursery() as nursery:
        nursery.start_soon(main_of(OPENTELEMETRY), w.ws_url, w.rest_url)
        await trio.sleep(5)
        data = reader.get_metrics_data()
        assert data is not None
        assert '"gapless.feed": "reference"' in data.to_json()
        nursery.cancel_scope.cancel()
    provider.shutdown()
