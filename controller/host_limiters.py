"""One limiter per host: whoever talks to the same host in one trio run shares its budget."""

from dataclasses import fields
from typing import Final
from weakref import WeakKeyDictionary, WeakValueDictionary

import trio
from loguru import logger

from gapless.controller.config import NetworkConfig
from gapless.controller.rate_limiter import RestRateLimiter

_TERMS: Final = tuple(
    each.name for each in fields(NetworkConfig) if each.name.startswith(("rate_limit_", "circuit_breaker_"))
)
"""The settings a limiter is made from."""


class _Hosts:
    """The limiters of one trio run.

    One that somebody uses stays as long as it is used. One that nobody uses stays, too, until what the host has seen
    and asked for is over: leaving a controller and opening another must not forget a ``Retry-After``.
    """

    def __init__(self) -> None:
        self._used: WeakValueDictionary[str, RestRateLimiter] = WeakValueDictionary()
        self._kept: dict[str, RestRateLimiter] = {}

    def find(self, host: str) -> RestRateLimiter | None:
        # Let go of those that are clear; whoever uses one holds it, and then it is still among the used.
        self._kept = {name: each for name, each in self._kept.items() if not each.is_clear}
        self._kept.update(self._used)
        return self._kept.get(host)

    def add(self, host: str, limiter: RestRateLimiter) -> None:
        self._used[host] = self._kept[host] = limiter

    @property
    def remember(self) -> bool:
        """Whether any host has a limiter that a new one would differ from."""
        return any(not each.is_clear for each in [*self._kept.values(), *self._used.values()])


_hosts: "trio.lowlevel.RunVar[_Hosts]" = trio.lowlevel.RunVar("gapless limiters")

_terms: "WeakKeyDictionary[RestRateLimiter, dict[str, object]]" = WeakKeyDictionary()
"""What each limiter was made from."""


def anything_remembered() -> bool:
    """Whether the end of this trio run would forget what a host has seen lately, or asked for."""
    try:
        return _hosts.get().remember
    except LookupError:
        return False


def limiter_of(host: str, config: NetworkConfig) -> RestRateLimiter:
    """The host's limiter, made from ``config`` where there is none yet.

    It outlives its users for as long as the host's window, pause or open circuit lasts.
    """
    try:
        hosts = _hosts.get()
    except LookupError:
        hosts = _Hosts()
        _hosts.set(hosts)
    terms = {name: getattr(config, name) for name in _TERMS}
    limiter = hosts.find(host)
    if limiter is None:
        limiter = RestRateLimiter(
            proactive=config.rate_limit_proactive,
            initial_backoff=config.rate_limit_initial_backoff,
            max_backoff=config.rate_limit_max_backoff,
            backoff_multiplier=config.rate_limit_backoff_multiplier,
            requests=config.rate_limit_requests,
            window_s=config.rate_limit_window,
            circuit_failures=config.circuit_breaker_failures,
            circuit_pause_s=config.circuit_breaker_pause,
        )
        hosts.add(host, limiter)
        _terms[limiter] = terms
    elif _terms.get(limiter, terms) != terms:
        logger.warning(
            "{} has a limiter already; this controller shares it and its terms {}, not its own {}",
            host,
            _terms[limiter],
            terms,
        )
    return limiter
