"""The examples of the README and of examples/ run, against a simulated exchange."""

import re
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from importlib import util
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import AnyEvent, Cursor, MarketData, State, open_controller
from gapless.simulator import ExchangeSimulator, SimulatorConfig, serve_exchange
from gapless.simulator.testkit import World
from tests.kit import TICKER, world

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
    "document",
    [
        "README.md",
        "docs/protocol.md",
        "docs/testing.md",
        "docs/metrics.md",
        "docs/rest.md",
        "docs/resuming.md",
        "CHANGELOG.md",
    ],
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


RESUMING = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "resuming.md").read_text(), re.DOTALL)


async def test_the_store_of_the_guide_is_whole_over_its_ends(tmp_path: Path, autojump_clock: MockClock) -> None:
    """It is ended six times, with outages in between, and begun again; the table itself refuses to hold an id twice."""
    namespace: dict[str, Callable[[str, str, str], Awaitable[None]]] = {}
    exec(compile(RESUMING[0], "resuming.md", "exec"), namespace)  # noqa: S102  # our own guide
    path = str(tmp_path / "own.db")
    async with world(rate_per_s=20) as w:
        epochs = [w.exchange.epoch]
        for number in range(6):
            with trio.move_on_after(7 + number / 3):
                await namespace["main"](w.ws_url, w.rest_url, path)
            await trio.sleep(20)
            if number == 3:
                w.exchange.restart()
                epochs.append(w.exchange.epoch)
    with closing(sqlite3.connect(path)) as store:
        rows = store.execute("SELECT epoch, id FROM ticks").fetchall()
        lost = store.execute("SELECT epoch, first, last FROM lost").fetchall()
        (cursor,) = store.execute("SELECT cursor FROM place").fetchone()
    old, new = ([number for epoch, number in rows if epoch == each] for each in epochs)
    assert sorted(old) == list(range(min(old), max(old) + 1))
    assert lost == [(epochs[0], max(old) + 1, None)]
    assert sorted(new) == list(range(1, max(new) + 1))
    assert len(cursor) < 400, "as the guide says of one stream"


async def test_the_parts_of_the_guide_belong_to_their_cursors(autojump_clock: MockClock) -> None:
    namespace: dict[str, Callable[..., Awaitable[None]]] = {}
    exec(compile(RESUMING[1], "resuming.md", "exec"), namespace)  # noqa: S102  # our own guide
    stored: list[int] = []
    sizes: set[int] = set()

    def store(part: list[AnyEvent], cursor: Cursor) -> None:
        stored.extend(event.sequence_id or 0 for event in part if isinstance(event, MarketData))
        sizes.add(len(part))
        assert not stored or cursor.streams[0].next_id == stored[-1] + 1

    async with (
        world(rate_per_s=0) as w,
        open_controller(ws_url=w.ws_url, rest_url=w.rest_url, streams=[TICKER]) as controller,
    ):
        await controller.wait_for(State.CONNECTED)
        w.publish(500)
        await trio.sleep(1)
        with trio.move_on_after(5):
            await namespace["store_in_parts"](controller, store, 7)
    assert stored == list(range(1, 501))
    assert max(sizes) == 7
