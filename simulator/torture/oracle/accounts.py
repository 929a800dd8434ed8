"""Orders and balances: in the end the app's own picture is the exchange's."""

from typing import ClassVar

from gapless.controller import (
    AnyEvent,
    Balance,
    BalanceUpdate,
    ContinuityLost,
    Order,
    OrderUpdate,
    SnapshotMissed,
    State,
    StateChanged,
    Stream,
)
from gapless.simulator.exchange import ExchangeSimulator
from gapless.simulator.torture.observer import Watch
from gapless.simulator.torture.wishes import Wishes


class AccountsAgree(Watch):
    """What the app pieced together from updates and snapshots is what the exchange has, unless it was told better."""

    promise: ClassVar[str] = "orders and balances are the exchange's"

    def __init__(self, exchange: ExchangeSimulator, wishes: Wishes) -> None:
        super().__init__()
        self._exchange = exchange
        self._wishes = wishes
        self._orders: dict[str, Order] = {}
        self._balances: dict[str, Balance] = {}
        self._missed: set[str] = set()
        """Channels of which this generation has said that a snapshot or ids are missing."""

    def received(self, now: float, event: AnyEvent) -> None:  # noqa: ARG002
        """Apply one event, as an app would."""
        match event:
            case OrderUpdate():
                self._orders[event.order.order_id] = event.order
            case BalanceUpdate():
                self._balances[event.balance.asset] = event.balance
            case SnapshotMissed() | ContinuityLost(symbol="*"):
                self._missed.add(event.channel)
            case StateChanged(after=State.RECONNECTING):
                self._missed.clear()
            case _:
                pass

    def complete(self, now: float) -> None:
        """Compare."""
        if self._is_owed(Stream("orders", "*")):
            for order in self._exchange.orders:
                mine = self._orders.get(order.order_id)
                if mine is None or (mine.filled, mine.status) != (order.filled, order.status):
                    self.broken(now, f"the app has {mine}, the exchange {order}")
        if self._is_owed(Stream("balance", "*")):
            for balance in self._exchange.balances:
                held = self._balances.get(balance.asset)
                if held is None or held.free != balance.free:
                    self.broken(now, f"the app has {held}, the exchange {balance}")

    def _is_owed(self, stream: Stream) -> bool:
        wishes = self._wishes.by_stream.get(stream, ())
        return len(wishes) > 0 and wishes[-1].given_up is None and stream.channel not in self._missed
