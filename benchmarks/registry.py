"""The contenders by name, where each lives, and what it can take part in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

OWN: Final = "gapless"
"""The environment that the harness runs in."""


_NO_DEFLATE: Final = {"deflate": "offers no compression"}
_OWN_ROOTS: Final = {"tls": "trusts the certificate authorities that are built in, no other"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Contender:
    """One row of a table."""

    name: str
    module: str
    options: Mapping[str, Any] = field(default_factory=dict)
    environment: str = OWN
    packages: tuple[str, ...] = ()
    """What its environment is made of."""
    cannot: Mapping[str, str] = field(default_factory=dict)
    """What it cannot take part in (deflate, tls), and why."""

    @property
    def is_peer(self) -> bool:
        """Whether it needs an environment of its own."""
        return self.environment != OWN


def _gapless(transport: str, consume: str) -> Contender:
    return Contender(
        name=f"gapless {transport}, {consume}",
        module="gapless_full",
        options={"transport": transport, "consume": consume},
        cannot=_NO_DEFLATE if transport == "trio-websocket" else {},
    )


def _peer(
    name: str,
    environment: str,
    packages: tuple[str, ...],
    options: Mapping[str, Any] | None = None,
    *,
    cannot: Mapping[str, str] | None = None,
) -> Contender:
    return Contender(
        name=name,
        module=f"peer_{environment}",
        options=options or {},
        environment=environment,
        packages=packages,
        cannot=cannot or {},
    )


_PICOWS: Final = ("picows", "msgspec", "uvloop")
_AIOHTTP: Final = ("aiohttp", "msgspec", "uvloop")
_CCXT: Final = ("ccxt", "orjson", "uvloop")
_WEBSOCKETS: Final = ("websockets", "msgspec", "trio")

CONTENDERS: Final = (
    _gapless("wire", "batches"),
    _gapless("wire", "events"),
    _gapless("trio-websocket", "batches"),
    _gapless("trio-websocket", "events"),
    Contender(name="bare scanner", module="bare", options={"how": "scanner"}, cannot=_NO_DEFLATE),
    Contender(name="bare stream + wake", module="bare", options={"how": "wake"}, cannot=_NO_DEFLATE),
    Contender(name="bare get_message", module="bare", options={"how": "get_message"}, cannot=_NO_DEFLATE),
    _peer("picows + callback", "picows", _PICOWS, cannot=_NO_DEFLATE),
    _peer("picows + callback, uvloop", "picows", _PICOWS, {"loop": "uvloop"}, cannot=_NO_DEFLATE),
    _peer("aiohttp", "aiohttp", _AIOHTTP),
    _peer("aiohttp, uvloop", "aiohttp", _AIOHTTP, {"loop": "uvloop"}),
    _peer("ccxt pro", "ccxt", _CCXT),
    _peer("ccxt pro, uvloop", "ccxt", _CCXT, {"loop": "uvloop"}),
    _peer("websockets", "websockets", _WEBSOCKETS, {"runtime": "asyncio"}),
    _peer("websockets Sans-I/O, trio", "websockets", _WEBSOCKETS, {"runtime": "sansio"}),
    _peer("websockets.trio", "websockets", _WEBSOCKETS, {"runtime": "trio"}),
    _peer("unicorn-binance on picows", "unicorn", ("unicorn-binance-websocket-api", "picows")),
    _peer("cryptofeed", "cryptofeed", ("cryptofeed",)),
    _peer("nautilus_trader", "nautilus", ("nautilus_trader",), cannot=_NO_DEFLATE | _OWN_ROOTS),
)
"""In the order in which they run and are shown. Three asyncio peers run on both loops: asyncio's own takes more at
once in a burst, uvloop costs less for a lone message."""
