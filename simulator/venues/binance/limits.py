"""Binance's limits per address: the request weight of a fixed minute, 429, and the ban behind it."""

import math
from collections import OrderedDict
from typing import Final, Literal

import msgspec

from gapless.simulator.settings import Positive, Settings
from gapless.simulator.venues.limits import ADDRESSES_MAX

MINUTE_S: Final = 60.0
BAN_MAX_S: Final = 259_200.0
"""Three days: the documented end of the ladder."""


class BinanceLimits(Settings, frozen=True, kw_only=True):
    """What one address, or one connection, may do. The defaults are the venue's."""

    weight_per_minute: Positive = 6_000
    """Documented as ``REQUEST_WEIGHT`` in ``exchangeInfo``; the minute is the wall clock's."""
    refusals_before_ban: Positive = 10
    """429s in a row of minutes that a client may run into before it is banned. The venue does not say how many."""
    ban_s: Positive = 120
    """The first ban; each further one takes twice as long, up to three days. Documented: 2 minutes to 3 days."""
    messages_per_s: Positive = 5
    """Incoming messages of one connection; beyond, it is cut. The venue counts PING and PONG frames, too; here they are
    not seen."""
    streams_max: Positive = 1_024
    """Streams of one connection."""
    connects_per_5_minutes: Positive = 300
    """Attempts to connect."""
    connection_max_s: Positive = 86_400
    """How long a connection lives."""


class BinanceOptions(Settings, frozen=True, kw_only=True):
    """Where the venue's behaviour is not documented, or was another once."""

    unknown_streams: Literal["acknowledge", "reject"] = "acknowledge"
    """What becomes of a stream that is named like one and does not exist. The venue acknowledges it, and is silent."""
    error_form: Literal["nested", "flat"] = "nested"
    """``{"error":{"code":..,"msg":..},"id":..}``, or without the nesting, as the older documentation has it."""


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """What a request did to the window. ``retry_after_s`` is in whole seconds; ``until_s`` is when a ban ends."""

    used: int
    status: Literal[200, 429, 418]
    retry_after_s: int = 0
    until_s: float = 0.0


class _Account(msgspec.Struct):
    minute: int = -1
    used: int = 0
    refusals: int = 0
    bans: int = 0
    banned_until_s: float = 0.0


class WeightMeter:
    """Counts weight per address."""

    def __init__(self, limits: BinanceLimits) -> None:
        self._limits = limits
        self._accounts: OrderedDict[str, _Account] = OrderedDict()

    def charge(self, address: str, weight: int, now_s: float) -> Charge:
        """Count a request at ``now_s`` (unix seconds). What is refused counts, too."""
        account = self._of(address)
        minute = math.floor(now_s / MINUTE_S)
        if minute != account.minute:
            account.minute, account.used = minute, 0
        account.used += weight
        if now_s < account.banned_until_s:
            return _charged(account, 418, account.banned_until_s, now_s)
        if account.used <= self._limits.weight_per_minute:
            return Charge(used=account.used, status=200)
        account.refusals += 1
        if account.refusals > self._limits.refusals_before_ban:
            account.refusals = 0
            account.banned_until_s = now_s + min(self._limits.ban_s * 2.0**account.bans, BAN_MAX_S)
            account.bans = min(account.bans + 1, 64)
            return _charged(account, 418, account.banned_until_s, now_s)
        return _charged(account, 429, (minute + 1) * MINUTE_S, now_s)

    def _of(self, address: str) -> _Account:
        account = self._accounts.setdefault(address, _Account())
        self._accounts.move_to_end(address)
        if len(self._accounts) > ADDRESSES_MAX:
            self._accounts.popitem(last=False)
        return account


def _charged(account: _Account, status: Literal[429, 418], until_s: float, now_s: float) -> Charge:
    wait_s = max(1, math.ceil(until_s - now_s))
    return Charge(used=account.used, status=status, retry_after_s=wait_s, until_s=until_s)
