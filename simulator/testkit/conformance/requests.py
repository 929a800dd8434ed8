"""Whether a request for history goes to the right host, always alike, and costs what a budget can pay."""

from functools import partial

import httpx

from gapless.controller import ConfigurationError
from gapless.controller.exchange import Exchange, HistoryQuery
from gapless.simulator.testkit.conformance.findings import Findings, shown


def check_request(
    exchange: Exchange, query: HistoryQuery, where: str, findings: Findings, *, may_refuse: bool = False
) -> list[httpx.Request]:
    """The request for a query, alone in a list; an empty one where it cannot be built.

    Args:
        exchange: the adapter.
        query: what is asked.
        where: of a failure.
        findings: where failures go.
        may_refuse: whether ConfigurationError is an answer: the venue has no history of that kind.
    """
    build = partial(exchange.history_request, query)
    refusals: tuple[type[Exception], ...] = (ConfigurationError,) if may_refuse else ()
    findings.tried["requests"] += 1
    requests = findings.attempt(where, build, refusals=refusals)
    for request in requests:
        findings.check(f"{where}: host", expected=exchange.rest_host, got=host_of(request.url))
        for again in findings.attempt(where, build):
            findings.check(f"{where}: the same query again", expected=request.url, got=again.url)
        _check_weight(exchange, request, where, findings)
    return requests


def _check_weight(exchange: Exchange, request: httpx.Request, where: str, findings: Findings) -> None:
    weights = [w for _ in range(2) for w in findings.attempt(f"{where}: weight", partial(exchange.weight, request))]
    for weight in weights:
        most = exchange.budget[0] if exchange.budget is not None else None
        if not isinstance(weight, int) or weight < 1:
            findings.fail(f"{where}: weight", f"expected an integer of at least 1, got {shown(weight)}")
        elif most is not None and weight > most:
            findings.fail(f"{where}: weight", f"expected at most the budget of {most}, got {weight}: it never leaves")
    if len(set(weights)) > 1:
        findings.fail(f"{where}: weight", f"expected the same weight twice, got {weights}")


def host_of(url: httpx.URL) -> str:
    """``host:port`` of a URL, as ``rest_host`` writes it."""
    host = url.raw_host.decode("ascii", "replace").rstrip(".")
    port = url.port or {"http": 80, "https": 443}.get(url.scheme, 0)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def target(url: httpx.URL) -> tuple[str, list[tuple[str, str]]]:
    """What is asked for on the host: the path, and the parameters in no order."""
    return url.path, sorted(url.params.multi_items())
