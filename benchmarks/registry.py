"""The contenders by name, where each lives, and what it can take part in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

OWN: Final = "gapless"
"""The environment that the harness runs in."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Contender:
    """One row of a table."""

    name: str
    module: str
    options: Mapping[str, Any] = field(default_factory=dict)
    environment: str = OWN
    packages: tuple[str, ...] = ()
    """What its environment is made of."""
    lacks: frozenset[str] = frozenset()
    """What it cannot do: deflate, tls."""

    @property
    def is_peer(self) -> bool:
        """Whether it needs an environment of its own."""
        return self.environment != OWN


def _gapless(transport: str, consume: str) -> Contender:
    # trio-websocket offers no compression.
    return Contender(
        name=f"gapless {transport}, {consume}",
        module="gapless_full",
        options={"transport": transport, "consume": consume},
        lacks=frozenset({"deflate"} if transport == "trio-websocket" else ()),
    )


def _peer(
    name: str,
    environment: str,
    packages: tuple[str, ...],
    options: Mapping[str, Any] | None = None,
    *,
    lacks: set[str] | None = None,
) -> Contender:
    return Contender(
        name=name,
        module=f"peer_{environment}",
        options=options or {},
        environment=environment,
        packages=packages,
        lacks=frozenset(lacks or ()),
    )


_WEBSOCKETS: Final = ("websockets", "msgspec", "trio", "uvloop")

CONTENDERS: Final = (
    _gapless("wire", "batches"),
    _gapless("wire", "events"),
    _gapless("trio-websocket", "batches"),
    _gapless("trio-websocket", "events"),
    Contender(name="bare scanner", module="bare", options={"how": "scanner"}, lacks=frozenset({"deflate"})),
    Contender(name="bare stream + wake", module="bare", options={"how": "wake"}, lacks=frozenset({"deflate"})),
    Contender(name="bare get_message", module="bare", options={"how": "get_message"}, lacks=frozenset({"deflate"})),
    _peer("picows + callback", "picows", ("picows", "msgspec", "uvloop"), {"loop": "uvloop"}, lacks={"deflate"}),
    _peer("aiohttp", "aiohttp", ("aiohttp", "msgspec", "uvloop"), {"loop": "uvloop"}),
    _peer("ccxt pro", "ccxt", ("ccxt",)),
    _peer("websockets", "websockets", _WEBSOCKETS, {"runtime": "asyncio", "loop": "uvloop"}),
    _peer("websockets Sans-I/O, trio", "websockets", _WEBSOCKETS, {"runtime": "sansio"}),
    _peer("websockets.trio", "websockets", _WEBSOCKETS, {"runtime": "trio"}),
    _peer("unicorn-binance on picows", "unicorn", ("unicorn-binance-websocket-api", "picows")),
    _peer("cryptofeed", "cryptofeed", ("cryptofeed",)),
    _peer("nautilus_trader", "nautilus", ("nautilus_trader",), lacks={"deflate"}),
)
"""In the order in which they run and are shown."""
