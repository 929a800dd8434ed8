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

_limiters: "trio.lowlevel.RunVar[WeakValueDictionary[str, RestRateLimiter]]" = trio.lowlevel.RunVar("gapless limiters")


_terms: "WeakKeyDictionary[RestRateLimiter, dict[str, object]]" = WeakKeyDictionary()
"""What each limiter was made from."""


def limiter_of(host: str, config: NetworkConfig) -> RestRateLimiter:
    """The host's limiter, made from ``config`` where nobody uses one yet; it lives as long as somebody does."""
    try:
        limiters = _limiters.get()
    except LookupError:
        limiters = WeakValueDictionary()
        _limiters.set(limiters)
    terms = {name: getattr(config, name) for name in _TERMS}
    limiter = limiters.get(host)
    if limiter is None:
        limiter = limiters[host] = RestRateLimiter(
            proactive=config.rate_limit_proactive,
            initial_backoff=config.rate_limit_initial_backoff,
            max_backoff=config.rate_limit_max_backoff,
            backoff_multiplier=config.rate_limit_backoff_multiplier,
            requests=config.rate_limit_requests,
            window_s=config.rate_limit_window,
            circuit_failures=config.circuit_breaker_failures,
            circuit_pause_s=config.circuit_breaker_pause,
        )
        _terms[limiter] = terms
    elif _terms.get(limiter, terms) != terms:
        logger.warning(
            "{} has a limiter already; this controller shares it and its terms {}, not its own {}",
            host,
            _terms[limiter],
            terms,
        )
    return limiter
