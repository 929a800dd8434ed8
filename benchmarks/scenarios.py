"""What is measured: the shapes of traffic."""

from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One table. ``rate`` 0: as fast as the contender takes it; otherwise messages per second, ``burst`` at a time."""

    name: str
    about: str
    rate: float = 0.0
    burst: int = 1
    symbols: int = 50
    seconds: float = 2.0
    messages_max: int = 2_000_000
    large: bool = False
    deflate: bool = False
    tls: bool = False

    @property
    def needs(self) -> frozenset[str]:
        """What a contender must be able to do."""
        return frozenset(name for name, needed in (("deflate", self.deflate), ("tls", self.tls)) if needed)

    def query(self, count: int) -> str:
        """How the server is to treat a connection."""
        asked = {"symbols": self.symbols, "count": count, "rate": self.rate, "burst": self.burst}
        flags = {"large": self.large, "deflate": self.deflate}
        return urlencode(asked | {name: 1 for name, is_set in flags.items() if is_set})

    def shortened(self, seconds: float) -> "Scenario":
        """The same for a shorter time."""
        return replace(self, seconds=min(self.seconds, seconds))


SCENARIOS: Final = (
    Scenario(name="bursts", about="190-byte messages as fast as they are taken"),
    Scenario(name="lone-1000", about="1,000 messages/s, each alone", rate=1_000, seconds=5.0),
    Scenario(name="lone-5000", about="5,000 messages/s, each alone", rate=5_000, seconds=5.0),
    Scenario(name="twenties", about="5,000 messages/s in bursts of 20", rate=5_000, burst=20, seconds=5.0),
    Scenario(name="lone-5000-tls", about="5,000 messages/s, each alone, TLS", rate=5_000, seconds=5.0, tls=True),
    Scenario(name="large", about="20 kB messages as fast as they are taken", large=True, messages_max=40_000),
    Scenario(name="deflate", about="permessage-deflate, as fast as taken", deflate=True, messages_max=200_000),
    Scenario(name="tls", about="TLS, as fast as taken", tls=True),
)
