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
