"""The same feed as under trio, from an asyncio app."""

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Literal

import pytest

from gapless.controller import (
    AnyEvent,
    ConfigurationError,
    ConnectionController,
    Cursor,
    MarketData,
    NetworkConfig,
    Reconciled,
    ReconciliationKind,
    State,
    StateChanged,
    Stream,
    aio,
    open_controller,
)
from gapless.simulator import FailuresConfig, SelectMode
from tests.aio.kit import ETHER, TICKER, Venue, data, ids, run, until, until_no_thread, venue


def app(
    v: Venue, *streams: Stream, resume: Cursor | None = None, config: NetworkConfig | None = None
) -> AbstractAsyncContextManager[aio.AsyncioController]:
    return aio.open_controller(
        ws_url=v.ws_url,
        rest_url=v.rest_url,
        streams=streams or [TICKER],
        resume=resume,
        config=config,
    )


@asynccontextmanager
async def subscribed(v: Venue, config: NetworkConfig | None = None) -> AsyncIterator[aio.AsyncioController]:
    """Whatever is published in the block is owed to the app."""
    before = v.subscribed()
    async with app(v, config=config) as controller:
        await until(lambda: v.subscribed() > before)
        yield controller


def names(kind: type) -> dict[str, inspect.Signature | None]:
    """What a class offers an app, with signatures."""
    return {
        name: None if isinstance(member, property) else inspect.signature(member)
        for name, member in vars(kind).items()
        if not name.startswith("_") or name in {"__aiter__", "__anext__"}
    }


def test_the_interface_is_that_of_the_trio_controller() -> None:
    """What one can, the other can, with the same arguments; ``run`` is the opening's business."""
    theirs = names(ConnectionController)
    del theirs["run"]
    assert names(aio.AsyncioController) == theirs


def test_it_is_opened_with_the_same_arguments() -> None:
    theirs = dict(inspect.signature(open_controller).parameters)
    for not_across_threads in ("http", "limiter"):
        del theirs[not_across_threads]
    assert dict(inspect.signature(aio.open_controller).parameters) == theirs


@pytest.mark.parametrize("transport", ["trio-websocket", "wire"])
def test_events_come_in_order_and_whole(transport: Literal["trio-websocket", "wire"]) -> None:
    async def main() -> list[int]:
        async with subscribed(v, NetworkConfig(transport=transport)) as controller:
            v.publish(500)
            taken = await data(controller.__anext__, 100)
            async for batch in controller.batches():
                taken += [event for event in batch if isinstance(event, MarketData)]
                if len(taken) == 500:
                    break
            assert controller.stats.live == 500
            assert controller.events_held == 0
            return ids(taken)

    with venue() as v:
        assert run(main) == list(range(1, 501))


def test_a_gap_is_found_and_filled() -> None:
    async def main() -> list[int]:
        async with subscribed(v) as controller:
            v.publish(20)
            taken = await data(controller.__anext__, 20)
            await until(lambda: controller.open_gaps == {})
            return ids(taken)

    with venue(failures=FailuresConfig(drop=SelectMode(enabled=True, ids=(5, 6, 9)))) as v:
        assert sorted(run(main)) == list(range(1, 21))


def test_everything_can_be_asked() -> None:
    async def main() -> None:
        async with subscribed(v) as controller:
            v.publish(1)
            await data(controller.__anext__, 1)
            await controller.wait_for(State.CONNECTED)
            assert controller.state is State.CONNECTED
            assert controller.history[-1].after is State.CONNECTED
            assert controller.generation == 1
            assert controller.running
            assert controller.rows_taken
            assert controller.streams == (TICKER,)
            assert controller.rest_budget[1] > 0
            assert controller.open_gaps == {}
            assert 0 <= controller.freshness()[TICKER] < 10
            assert controller.rest_stats.failed == 0
            assert controller.round_trip_s is None or controller.round_trip_s < 1
            rows = await controller.price_history("BTC/USD", limit=1)
            assert [row.sequence_id for row in rows] == [1]
            with pytest.raises(ConfigurationError, match="limit"):
                await controller.price_history("BTC/USD", limit=0)

    with venue() as v:
        run(main)


def test_streams_come_and_go() -> None:
    async def main() -> None:
        async with subscribed(v) as controller:
            controller.subscribe(ETHER)
            assert [*controller.streams] == [TICKER, ETHER]
            await until(lambda: v.subscribed() == 2)
            v.publish(3, ETHER)
            assert {event.symbol for event in await data(controller.__anext__, 3)} == {"ETH/USD"}
            controller.unsubscribe(ETHER)
            assert [*controller.streams] == [TICKER]
            with pytest.raises(ConfigurationError, match="not subscribed: ticker:ETH/USD"):
                controller.unsubscribe(ETHER)

    with venue() as v:
        run(main)


@pytest.mark.parametrize("how", ["reconnect", "rotate"])
def test_a_new_socket_on_request(how: str) -> None:
    async def main() -> None:
        async with subscribed(v) as controller:
            v.publish(5)
            taken = await data(controller.__anext__, 5)
            await controller.wait_for(State.CONNECTED)
            getattr(controller, how)()
            await until(lambda: v.subscribed() == 2)
            v.publish(5)
            taken += await data(controller.__anext__, 5)
            assert sorted(ids(taken)) == list(range(1, 11))

    with venue() as v:
        run(main)


def test_what_is_on_its_way_between_the_threads_is_not_consumed() -> None:
    """The whole of what was published lies on the loop's side; the cursor is where the app is, event by event."""

    async def main() -> Cursor:
        async with subscribed(v) as controller:
            v.publish(50)
            await data(controller.__anext__, 10)
            await until(lambda: controller.stats.live == 50)
            assert controller.events_held >= 40
            assert controller.cursor().streams[0].next_id == 11
            await data(controller.__anext__, 1)
            assert controller.cursor().streams[0].next_id == 12
            batch = await anext(controller.batches())
            after = ids(batch)[-1] + 1
            assert controller.cursor().streams[0].next_id == after
            assert controller.cursor(unread=batch).streams[0].next_id == 12
            await until(lambda: controller.events_held == 50 - after + 1)
        assert controller.cursor().streams[0].next_id == after
        return controller.cursor(unread=batch)

    async def go_on(cursor: Cursor) -> list[int]:
        async with app(v, resume=cursor) as controller:
            await until(lambda: v.subscribed() == 2)
            v.publish(1)
            return sorted(ids(await data(controller.__anext__, 40)))

    with venue() as v:
        cursor = run(main)
        assert run(lambda: go_on(Cursor.decode(cursor.encode()))) == list(range(12, 52))


def test_callbacks_are_called_in_the_thread_of_the_loop() -> None:
    messages: list[AnyEvent] = []
    told: list[tuple[ReconciliationKind, Reconciled]] = []
    states: list[StateChanged] = []
    where: set[int] = set()

    def here(note: Callable[[], None]) -> None:
        asyncio.get_running_loop()
        where.add(threading.get_ident())
        note()

    async def main() -> None:
        async with aio.open_controller(
            ws_url=v.ws_url,
            rest_url=v.rest_url,
            streams=[TICKER],
            on_message=lambda event: here(lambda: messages.append(event)),
            on_reconciliation=lambda kind, what: here(lambda: told.append((kind, what))),
            on_state_change=lambda event: here(lambda: states.append(event)),
        ) as controller:
            await until(lambda: v.subscribed() == 1)
            v.publish(20)
            await controller.wait_for(State.CONNECTED)
            await until(lambda: len(ids(messages)) + len(told) == 20)
            with pytest.raises(ConfigurationError, match="go to on_message"):
                aiter(controller)

    with venue(failures=FailuresConfig(drop=SelectMode(enabled=True, ids=(5,)))) as v:
        run(main)
    assert where == {threading.get_ident()}
    assert [kind for kind, _ in told] == ["market_data"]
    assert State.CONNECTED in [event.after for event in states]


def test_one_thread_for_all_feeds_of_all_loops() -> None:
    seen: list[tuple[int, list[int]]] = []
    all_open = threading.Barrier(3)

    async def main() -> None:
        async with app(v) as one, app(v, ETHER):
            await until(lambda: v.subscribed() == 6)
            await asyncio.to_thread(all_open.wait, 10)
            count = sum(thread.name == "gapless" for thread in threading.enumerate())
            if threading.current_thread().name == "loop 0":
                v.publish(10)
            taken = await data(one.__anext__, 10)
            seen.append((count, ids(taken)))

    with venue() as v:
        loops = [threading.Thread(target=run, args=(main,), name=f"loop {number}") for number in range(3)]
        for loop in loops:
            loop.start()
        for loop in loops:
            loop.join()
    assert seen == [(1, list(range(1, 11)))] * 3
    until_no_thread()


def test_two_consumers_are_refused() -> None:
    async def main() -> None:
        async with subscribed(v) as controller:
            first = asyncio.create_task(data(controller.__anext__, 1))
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="another task waits"):
                await anext(controller)
            v.publish(1)
            assert ids(await first) == [1]

    with venue() as v:
        run(main)


def test_its_metrics_are_exported() -> None:
    """Scraped from another thread, and from the loop's own; of a feed that has ended it is told that it is down."""
    prometheus_client = pytest.importorskip("prometheus_client", reason="the extra `prometheus` is not installed")
    from gapless.controller.metrics.prometheus import PrometheusExporter  # noqa: PLC0415  # needs the extra

    registry = prometheus_client.CollectorRegistry()
    exporter = PrometheusExporter(registry=registry)

    def exported() -> str:
        text: str = prometheus_client.generate_latest(registry).decode()
        return text

    async def main() -> None:
        async with subscribed(v) as controller:
            v.publish(7)
            await data(controller.__anext__, 7)
            with exporter.feed(controller, "aio"):
                assert controller.metrics().data.live == 7
                assert 'feed="aio"' in exported()
                assert 'feed="aio"' in await asyncio.to_thread(exported)
                v.publish(2)
                await data(controller.__anext__, 2)
            assert 'gapless_delivered_total{feed="aio",source="LIVE"} 9.0' in exported(), "counters stay"
            assert 'gapless_streams{feed="aio"}' not in exported()
        with exporter.feed(controller, "over"):
            told = [line for line in exported().splitlines() if 'feed="over"' in line]
            assert told == ['gapless_up{feed="over"} 0.0']

    with venue() as v:
        run(main)


def test_a_thread_that_hangs_takes_no_page_of_metrics_with_it() -> None:
    """The app's own figures stay readable, and the feed is seen to hang."""
    prometheus_client = pytest.importorskip("prometheus_client", reason="the extra `prometheus` is not installed")
    from gapless.controller.metrics.prometheus import PrometheusExporter  # noqa: PLC0415  # needs the extra

    registry = prometheus_client.CollectorRegistry()
    exporter = PrometheusExporter(registry=registry)
    prometheus_client.Counter("orders", "the app's own", registry=registry)
    hanging, hang, go_on = threading.Event(), threading.Event(), threading.Event()

    def wall_clock() -> float:
        if hang.is_set():
            hanging.set()
            go_on.wait(30)
        return 0.0

    def exported() -> list[str]:
        lines = prometheus_client.generate_latest(registry).decode().splitlines()
        return sorted(line for line in lines if line.startswith(("orders_total", "gapless_")))

    async def main() -> None:
        opening = aio.open_controller(ws_url=v.ws_url, rest_url=v.rest_url, streams=[TICKER], wall_clock=wall_clock)
        async with opening as controller:
            with exporter.feed(controller, "aio"):
                hang.set()
                asking = asyncio.create_task(asyncio.to_thread(controller.reconnect))
                assert await asyncio.to_thread(hanging.wait, 10)
                try:
                    assert await asyncio.to_thread(exported) == ['gapless_up{feed="aio"} 0.0', "orders_total 0.0"]
                finally:
                    hang.clear()
                    go_on.set()
                await asking
                assert 'gapless_up{feed="aio"} 1.0' in await asyncio.to_thread(exported)

    with venue() as v:
        run(main)
