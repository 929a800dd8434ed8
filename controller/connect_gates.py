"""How often a venue's WebSocket host is dialled: one gate for each host, shared by every controller of a trio run."""

from urllib.parse import urlsplit

import trio

from gapless.controller.exchange import Budget
from gapless.controller.gate import Gate

_gates: "trio.lowlevel.RunVar[dict[str, Gate]]" = trio.lowlevel.RunVar("gapless connect gates")


def gate_of(websocket_url: str, budget: Budget | None) -> Gate | None:
    """The gate of the host in an address, made from ``budget`` where there is none yet; None: it has no budget."""
    if budget is None:
        return None
    try:
        gates = _gates.get()
    except LookupError:
        gates = {}
        _gates.set(gates)
    host = urlsplit(websocket_url).netloc.rpartition("@")[2].lower()
    if host not in gates:
        gates[host] = Gate(budget, "connections")
    return gates[host]
