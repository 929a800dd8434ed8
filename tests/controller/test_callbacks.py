"""Callbacks instead of a loop."""

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import (
    AnyEvent,
    BalanceUpdate,
    ConfigurationError,
    ConnectionController,
    ContinuityLost,
    DeliveryOverflowError,
    MarketData,
    NetworkConfig,
    OrderUpdate,
    Reconciled,
    SnapshotRead,
    Source,
    State,
    StateChanged,
    Stream,
    open_controller,
)
from gapless.controller.cursor import Cursor
from gapless.simulator import FailureMode, FailuresConfig, ServerErrorMode
from gapless.simulator.failure_modes import SelectMode
from tests.kit import SESSION, TICKER, World, virtual_wall_clock, world


class App:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.messages: list[AnyEvent] = []
        self.reconciled: list[tuple[str, Reconciled]] = []

    def on_message(self, event: AnyEvent) -> None:
        self.messages.append(event)

    def on_reconciliation(self, kind: str, data: Reconciled) -> None:
        self.reconciled.append((kind, data))

    def kinds(self) -> set[str]:
        return {kind for kind, _ in self.reconciled}

    def of(self, kind: str) -> list[MarketData]:
        found: list[MarketData] = []
        for name, data in self.reconciled:
            if name == kind:
                found += [data] if isinstance(data, MarketData) else [e for e in data if isinstance(e, MarketData)]
        return found


async def run_app(w: World, app: App, streams: Sequence[Stream], seconds: float, **settings: object) -> None:
    async with open_controller(
        ws_url=w.ws_url,
        rest_url=w.rest_url,
        streams=streams,
        session_id=SESSION,
        config=NetworkConfig.from_mapping(settings),
        wall_clock=virtual_wall_clock,
        on_message=app.on_message,
        on_reconciliation=app.on_reconciliation,
    ):
        await trio.sleep(seconds)


async def test_an_app_learns_that_it_has_no_orders_and_which_balances_it_has(autojump_clock: MockClock) -> None:
    app = App()
    async with world() as w:
        w.exchange.set_balance("USD", 1.0)
        w.exchange.set_balance("EUR", 2.0)
        await run_app(w, app, [TICKER, Stream("orders", "*"), Stream("balance", "*")], 5.0)
    told = [(kind, data) for kind, data in app.reconciled if kind in {"orders", "balance"}]
    assert ("orders", []) in told
    (balances,) = [data for kind, data in told if kind == "balance" and not isinstance(data, MarketData)]
    assert [each.balance.asset for each in balances if isinstance(each, BalanceUpdate)] == ["USD", "EUR"]
    announced = {(each.channel, each.rows) for each in app.messages if isinstance(each, SnapshotRead)}
    assert announced == {("orders", 0), ("balance", 2)}


async def test_live_data_and_continuity_go_to_on_message_rest_to_on_reconciliation(autojump_clock: MockClock) -> None:
    app = App()
    async with world() as w:
        w.fail(
            FailuresConfig(
                drop=SelectMode(enabled=True, ids=(30, 31), count=2),
                silent_connection=FailureMode(enabled=True, after_messages=80, count=1),
            )
        )
        w.exchange.place_order("BTC/USD", "buy", 1.0, 50_000.0)
        w.exchange.set_balance("USD", 1_000.0)
        await run_app(w, app, [TICKER, Stream("orders", "*"), Stream("balance", "*")], 40.0)
    live = [event for event in app.messages if isinstance(event, MarketData)]
    assert {event.source for event in live} == {Source.LIVE}
    assert any(isinstance(event, StateChanged) and event.after is State.SILENT for event in app.messages)
    assert app.kinds() == {"market_data", "price_history", "orders", "balance"}
    assert [event.sequence_id for event in app.of("market_data")][:2] == [30, 31]
    assert {event.source for event in app.of("market_data")} == {Source.BACKFILL}
    assert {event.source for event in app.of("price_history")} == {Source.POLL}
    (orders,) = [data for kind, data in app.reconciled if kind == "orders" and isinstance(data, list)][:1]
    assert [type(event) for event in orders] == [OrderUpdate]
    every = sorted(event.sequence_id or 0 for event in [*live, *app.of("market_data"), *app.of("price_history")])
    assert every == list(range(every[0], every[0] + len(every)))
    assert not [event for event in app.messages if isinstance(event, ContinuityLost)]


async def test_without_on_reconciliation_everything_goes_to_on_message(autojump_clock: MockClock) -> None:
    app = App()
    async with world() as w:
        w.fail(FailuresConfig(drop=SelectMode(enabled=True, every_nth=10)))
        async with open_controller(
            ws_url=w.ws_url, rest_url=w.rest_url, streams=[TICKER], session_id=SESSION, on_message=app.on_message
        ):
            await trio.sleep(20.0)
    ids = sorted(event.sequence_id or 0 for event in app.messages if isinstance(event, MarketData))
    assert len(ids) > 150
    assert ids == list(range(ids[0], ids[0] + len(ids)))


async def test_an_exception_of_a_callback_ends_the_run_as_it_is(autojump_clock: MockClock) -> None:
    class OurError(Exception):
        pass

    def on_message(event: AnyEvent) -> None:
        if isinstance(event, MarketData):
            raise OurError("of the app")

    async with world() as w:
        with pytest.raises(OurError, match="of the app"):
            async with open_controller(ws_url=w.ws_url, rest_url=w.rest_url, streams=[TICKER], on_message=on_message):
                await trio.sleep(60.0)


async def test_a_loop_beside_callbacks_is_refused(autojump_clock: MockClock) -> None:
    async def loop(controller: ConnectionController) -> None:
        async for _event in controller:
            pass

    async with (
        world() as w,
        open_controller(
            ws_url=w.ws_url, rest_url=w.rest_url, streams=[TICKER], on_message=App().on_message
        ) as controller,
    ):
        with pytest.raises(ConfigurationError, match="the events go to on_message"):
            await loop(controller)


async def test_on_reconciliation_alone_is_refused(autojump_clock: MockClock) -> None:
    async with world() as w:
        with pytest.raises(ConfigurationError, match="expected on_message beside on_reconciliation"):
            async with open_controller(
                ws_url=w.ws_url,
                rest_url=w.rest_url,
                streams=[TICKER],
                on_reconciliation=App().on_reconciliation,
            ):
                pass


async def test_an_overflow_ends_the_run_where_the_policy_says_so(autojump_clock: MockClock) -> None:
    """What waits behind a gap that REST cannot fill does not fit any more."""
    app = App()
    async with world() as w:
        w.fail(FailuresConfig(drop=SelectMode(enabled=True, ids=(20,)), server_error=ServerErrorMode(enabled=True)))
        with pytest.raises(DeliveryOverflowError, match="did not fit"):
            await run_app(w, app, [TICKER], 60.0, overflow="raise", ordering="sequence", buffer_size=50)
    ids = [event.sequence_id or 0 for event in app.messages if isinstance(event, MarketData)]
    assert ids == list(range(ids[0], 20))


# -- the cursor, asked in a callback -----------------------------------------------------------------------------------


class CrashError(Exception):
    """The app's own."""


class Store:
    """An app that keeps events and cursor together, and crashes at a datum: before or after it has stored it."""

    def __init__(self, *, crash_at: int | None = None, crash_stored: bool = False) -> None:
        self.kept: list[int] = []
        self.cursor = Cursor(streams=[])
        self.controller: ConnectionController | None = None
        self._crash_at = crash_at
        self._crash_stored = crash_stored

    def on_message(self, event: AnyEvent) -> None:
        self._keep([event])

    def on_reconciliation(self, _kind: str, data: Reconciled) -> None:
        self._keep([data] if isinstance(data, MarketData) else data)

    def _keep(self, events: Sequence[AnyEvent]) -> None:
        ids = [event.sequence_id or 0 for event in events if isinstance(event, MarketData)]
        crashes = self._crash_at is not None and any(number >= self._crash_at for number in ids)
        if crashes and not self._crash_stored:
            raise CrashError
        assert self.controller is not None
        self.kept += ids
        self.cursor = Cursor.decode(self.controller.cursor().encode())
        if crashes:
            raise CrashError

    async def run(self, w: World, seconds: float, *, rest_apart: bool, resume: Cursor | None = None) -> None:
        opened = open_controller(
            ws_url=w.ws_url,
            rest_url=w.rest_url,
            streams=[TICKER],
            wall_clock=virtual_wall_clock,
            on_message=self.on_message,
            on_reconciliation=self.on_reconciliation if rest_apart else None,
            resume=resume,
        )
        async with opened as self.controller:
            await trio.sleep(seconds)


async def crashed(w: World, app: Store, *, rest_apart: bool) -> None:
    """It crashes in the midst of a batch: what REST tells after four seconds of a dead network."""

    async def outage() -> None:
        await trio.sleep(3)
        w.network.black_hole()
        await trio.sleep(4)
        w.network.heal()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(outage)
        with pytest.raises(CrashError):
            await app.run(w, 120, rest_apart=rest_apart)


@pytest.mark.parametrize("rest_apart", [False, True])
@pytest.mark.parametrize("crash_stored", [False, True])
async def test_a_callback_stores_an_event_and_the_cursor_together(
    rest_apart: bool, crash_stored: bool, autojump_clock: MockClock
) -> None:
    async with world(rate_per_s=10) as w:
        app = Store(crash_at=45, crash_stored=crash_stored)
        await crashed(w, app, rest_apart=rest_apart)
        before = list(app.kept)
        later = Store()
        await later.run(w, 60, rest_apart=rest_apart, resume=app.cursor)
    numbers = before + later.kept
    assert max(before) < 60
    assert sorted(numbers) == list(range(min(numbers), max(numbers) + 1)), "each once, whatever was stored last"


@pytest.mark.parametrize("rest_apart", [False, True])
async def test_what_a_callback_raised_over_and_all_that_followed_is_not_consumed(
    rest_apart: bool, autojump_clock: MockClock
) -> None:
    """Asked after the block, where the app has stored everything before."""
    async with world(rate_per_s=10) as w:
        app = Store(crash_at=45)
        await crashed(w, app, rest_apart=rest_apart)
        assert app.controller is not None
        cursor = app.controller.cursor()
        assert cursor == app.cursor
        later = Store()
        await later.run(w, 60, rest_apart=rest_apart, resume=cursor)
    numbers = app.kept + later.kept
    assert sorted(numbers) == list(range(min(numbers), max(numbers) + 1))


async def test_a_block_that_is_left_amid_a_batch_has_not_consumed_the_rest(autojump_clock: MockClock) -> None:
    """Between two callbacks others have a turn, now and then: also the one that leaves the block.

    The batch is one page of REST.
    """
    taken: list[int] = []
    enough = trio.Event()

    def on_message(event: AnyEvent) -> None:
        if isinstance(event, MarketData):
            taken.append(event.sequence_id or 0)
            if len(taken) >= 100:
                enough.set()

    async with world(rate_per_s=0) as w:
        async with open_controller(
            ws_url=w.ws_url, rest_url=w.rest_url, streams=[TICKER], on_message=on_message
        ) as controller:
            await controller.wait_for(State.CONNECTED)
            w.network.reset(w.ws_port)
            await trio.lowlevel.checkpoint()
            w.publish(1_000)
            await enough.wait()
        assert len(taken) < 300
        assert controller.cursor().streams[0].next_id == len(taken) + 1
