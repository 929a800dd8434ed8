"""The examples of the README and of examples/ run, against a simulated exchange."""

import re
from collections.abc import Awaitable, Callable
from importlib import util
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from gapless.simulator import ExchangeSimulator, SimulatorConfig, serve_exchange
from gapless.simulator.testkit import World
from tests.kit import world

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
EMBED, MACHINE, STORY = BLOCKS

Main = Callable[[str, str], Awaitable[None]]


def main_of_readme() -> Main:
    namespace: dict[str, Main] = {}
    exec(compile(EMBED, "README.md", "exec"), namespace)  # noqa: S102  # our own README
    return namespace["main"]


def main_of_example() -> Main:
    spec = util.spec_from_file_location("embed", ROOT / "examples" / "embed.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    main: Main = module.main
    return main


@pytest.mark.parametrize("load", [main_of_readme, main_of_example])
async def test_the_embedding_example_prints_the_feed(
    load: Callable[[], Main], autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    main = load()
    async with world() as w:
        with trio.move_on_after(5):
            await main(w.ws_url, w.rest_url)
    lines = capsys.readouterr().out.splitlines()
    ids = [int(line.split()[1]) for line in lines]
    assert len(ids) >= 40
    assert ids == list(range(ids[0], ids[0] + len(ids)))


def test_the_embedding_example_is_short() -> None:
    assert len([line for line in EMBED.splitlines() if line.strip()]) <= 15


def test_the_machine_runs_alone(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(MACHINE, "README.md", "exec"), {})  # noqa: S102  # our own README
    assert capsys.readouterr().out == "State.REST_FALLBACK ['BACKOFF', 'FETCH_LOOP']\n"


async def test_the_outage_of_the_readme_costs_nothing(gapless_world: World) -> None:
    namespace: dict[str, Callable[[World], Awaitable[None]]] = {}
    exec(compile(STORY, "README.md", "exec"), namespace)  # noqa: S102  # our own README
    (story,) = [each for name, each in namespace.items() if name.startswith("test_")]
    await story(gapless_world)
    assert trio.current_time() > 600.0


def test_the_outage_is_told_once() -> None:
    """The README, the guide and the example show the same fifteen lines."""
    assert len([line for line in STORY.splitlines() if line.strip()]) <= 15
    assert STORY in (ROOT / "docs" / "testing.md").read_text()
    assert STORY in (ROOT / "examples" / "test_outage.py").read_text()


@pytest.mark.parametrize(
    "document", ["README.md", "docs/protocol.md", "docs/testing.md", "docs/metrics.md", "docs/rest.md", "CHANGELOG.md"]
)
def test_links_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text()
    targets = re.findall(r"\]\(([^)#]+)\)", text)
    for target in targets:
        if not target.startswith("http"):
            assert ((ROOT / document).parent / target).exists(), f"{document}: {target}"


async def test_the_recording_of_the_guide_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In real time: its writer is a thread, for which a virtual clock does not wait."""
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "recording.md").read_text(), re.DOTALL)
    namespace: dict[str, Callable[[str, str, str], Awaitable[None]]] = {}
    exec(compile(example, "recording.md", "exec"), namespace)  # noqa: S102  # our own guide
    async with serve_exchange(ExchangeSimulator(SimulatorConfig(rate_per_s=100.0))) as at:
        with trio.move_on_after(1.5):
            await namespace["main"](at.ws_url, at.rest_url, str(tmp_path / "feed.db"))
    assert " written\n" in capsys.readouterr().out
