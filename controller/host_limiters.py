"""One limiter per host: whoever talks to the same host in one trio run shares its budget."""

from weakref import WeakValueDictionary

import trio

from gapless.controller.config import NetworkConfig
from gapless.controller.rate_limiter import RestRateLimiter

_limiters: "trio.lowlevel.RunVar[WeakValueDictionary[str, RestRateLimiter]]" = trio.lowlevel.RunVar("gapless limiters")


def limiter_of(host: str, config: NetworkConfig) -> RestRateLimiter:
    """The host's limiter, made from ``config`` where nobody uses one yet; it lives as long as somebody does."""
    try:
        limiters = _limiters.get()
    except LookupError:
        limiters = WeakValueDictionary()
        _limiters.set(limiters)
    limiter = limiters.get(host)
    if limiter is None:
        limiter = limiters[host] = RestRateLimiter(
            proactive=config.rate_limit_proactive,
            initial_backoff=config.rate_limit_initial_backoff,
            max_backoff=config.rate_limit_max_backoff,
            backoff_multiplier=config.rate_limit_backoff_multiplier,
            requests=config.rate_limit_requests,
            window_s=config.rate_limit_window,
        )
    return limiter
