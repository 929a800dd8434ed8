"""The client of a world: the unmodified controller, its socket and its requests watched."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from random import Random
from typing import Final

import httpx
import msgspec

from gapless.controller import ConnectionController, RestRateLimiter, StateChanged, Stream, open_controller
from gapless.controller.exchange import HistoryPage, HistoryQuery, RestReply
from gapless.controller.exchanges import ReferenceExchange
from gapless.controller.transports import transport_of
from gapless.simulator.exchange import ExchangeSimulator
from gapless.simulator.serve import Endpoints
from gapless.simulator.torture.observer import Watches
from gapless.simulator.torture.plan import Plan, Venue
from gapless.simulator.torture.stage import SESSION
from gapless.simulator.torture.taps import TappedTransport
from gapless.simulator.virtual_clock import VirtualClock


class _WithoutTradeHistory(ReferenceExchange):
    """A venue that keeps no history of its trades."""

    def has_history(self, stream: Stream) -> bool:
        return stream.channel != "trade" and super().has_history(stream)


class _WithoutLastId(ReferenceExchange):
    """A venue whose replies do not say how far it has come: what a reply omits, nobody can vouch for."""

    def decode_history(self, query: HistoryQuery, reply: RestReply) -> HistoryPage:
        return msgspec.structs.replace(super().decode_history(query, reply), last_seq=None)


class _Forgetful(ReferenceExchange):
    """A venue that never kept one id in ten."""

    def decode_history(self, query: HistoryQuery, reply: RestReply) -> HistoryPage:
        page = super().decode_history(query, reply)
        return msgspec.structs.replace(page, rows=[row for row in page.rows if (row.sequence_id or 0) % 10 != 7])


_ADAPTERS: Final[Mapping[Venue, type[ReferenceExchange]]] = {
    Venue.COMPLETE: ReferenceExchange,
    Venue.WITHOUT_TRADE_HISTORY: _WithoutTradeHistory,
    Venue.WITHOUT_LAST_ID: _WithoutLastId,
    Venue.FORGETFUL: _Forgetful,
}


def open_client(
    plan: Plan,
    at: Endpoints,
    *,
    exchange: ExchangeSimulator,
    clock: VirtualClock,
    watches: Watches,
    http: httpx.AsyncClient,
    on_state_change: Callable[[StateChanged], None],
) -> AbstractAsyncContextManager[ConnectionController]:
    """A controller as the plan has it."""
    config = plan.config
    adapter = _ADAPTERS[plan.venue]
    return open_controller(
        exchange=adapter(ws_url=at.ws_url, rest_url=at.rest_url, session_id=SESSION),
        streams=plan.streams,
        config=config,
        limiter=_limiter(plan),
        transport=TappedTransport(transport_of(config), watches, lambda: _refused(exchange, clock)),
        http=http,
        random=Random(plan.seed),  # noqa: S311  # a world must be repeatable
        wall_clock=clock.wall,
        boot_clock=clock.boot,
        on_state_change=on_state_change,
    )


def can_tell(plan: Plan, stream: Stream) -> bool:
    """Whether the venue's REST side says how far a stream has come."""
    has_history = plan.venue is not Venue.WITHOUT_TRADE_HISTORY or stream.channel != "trade"
    return has_history and stream.symbol != "*" and plan.venue is not Venue.WITHOUT_LAST_ID


def _limiter(plan: Plan) -> RestRateLimiter:
    config = plan.config
    return RestRateLimiter(
        proactive=config.rate_limit_proactive,
        initial_backoff=config.rate_limit_initial_backoff,
        max_backoff=config.rate_limit_max_backoff,
        backoff_multiplier=config.rate_limit_backoff_multiplier,
        requests=config.rate_limit_requests,
        window_s=config.rate_limit_window,
        circuit_failures=config.circuit_breaker_failures,
        circuit_pause_s=config.circuit_breaker_pause,
    )


def _refused(exchange: ExchangeSimulator, clock: VirtualClock) -> float | None:
    """The seconds to wait that the last handshake was refused with, if that was just now."""
    if not exchange.handshakes:
        return None
    last = exchange.handshakes[-1]
    is_now = clock.true_wall() - last.time_s < 1.0
    return last.retry_after_s if is_now else None
