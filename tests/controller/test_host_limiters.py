"""One host, one limiter: however its address is written, between two controllers, and within what the venue says."""

import gc

import pytest
import trio
from trio.testing import MockClock

from gapless.controller import ConfigurationError, NetworkConfig, RestRateLimiter
from gapless.controller.errors import RequestFailedError
from gapless.controller.exchange import RestReply
from gapless.controller.exchanges import ReferenceExchange
from gapless.controller.host_limiters import limiter_of
from gapless.simulator import FailuresConfig, RateLimitMode, RefuseMode
from tests.kit import TICKER, World, world
from tests.scripted import Socket, Venue, history

BROKEN = 503


def host_of(rest_url: str) -> str:
    return ReferenceExchange(ws_url="ws://h:1", rest_url=rest_url, session_id="x").rest_host


async def asked(limiter: RestRateLimiter, status: int = 200, **headers: str) -> None:
    """Send one request that is answered so."""

    async def make_request() -> RestReply:
        return RestReply(
            status=status, headers={name.replace("_", "-"): text for name, text in headers.items()}, body=b""
        )

    try:
        await limiter.retry_request(make_request, "/prices", 0)
    except RequestFailedError:
        assert status != 200


# -- one name ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://localhost:8081", "http://LOCALHOST:8081"),
        ("http://api.example", "http://api.example:80"),
        ("https://api.example", "https://api.example:443"),
        ("https://api.example", "https://api.example./v2"),
        ("http://api.example:8081", "http://me:secret@api.example:8081"),
        ("http://bücher.example", "http://xn--bcher-kva.example"),
    ],
)
async def test_one_host_has_one_limiter_however_its_address_is_written(one: str, other: str) -> None:
    limiter = limiter_of(host_of(one), NetworkConfig())
    assert limiter_of(host_of(other), NetworkConfig()) is limiter
    assert "secret" not in host_of(other)


@pytest.mark.parametrize("other", ["http://api.example:81", "https://api.example", "http://api2.example"])
async def test_another_server_has_another(other: str) -> None:
    limiter = limiter_of(host_of("http://api.example"), NetworkConfig())
    assert limiter_of(host_of(other), NetworkConfig()) is not limiter


# -- between two controllers ------------------------------------------------------------------------------------------


async def stay(w: World, seconds: float) -> None:
    async with w.feed():
        await trio.sleep(seconds)
    # Sooner or later it happens by itself.
    gc.collect()


async def test_a_retry_after_outlives_the_controller_that_was_told(autojump_clock: MockClock) -> None:
    both = FailuresConfig(
        refuse=RefuseMode(enabled=True), rate_limited=RateLimitMode(enabled=True, count=1, retry_after_s=30)
    )
    async with world(failures=both) as w:
        await stay(w, 1)
        (limited,) = w.exchange.requests
        assert limited.status == 429
        await stay(w, 35)
        later = [each.time_s - limited.time_s for each in w.exchange.requests if each is not limited]
        assert min(later) == pytest.approx(30.0, abs=0.1)


async def test_the_window_outlives_it_too(autojump_clock: MockClock) -> None:
    for _ in range(10):
        await asked(limiter_of("host:1", NetworkConfig()))
        gc.collect()
    await asked(limiter_of("host:1", NetworkConfig()))
    assert trio.current_time() == pytest.approx(1.1)


async def test_so_does_an_open_circuit(autojump_clock: MockClock) -> None:
    for _ in range(5):
        await asked(limiter_of("host:1", NetworkConfig()), BROKEN)
    gc.collect()
    assert limiter_of("host:1", NetworkConfig()).circuit.name == "OPEN"


async def test_when_that_is_over_and_nobody_uses_it_a_limiter_is_made_anew(autojump_clock: MockClock) -> None:
    await asked(limiter_of("host:1", NetworkConfig()), 429, retry_after="30")
    gc.collect()
    changed = NetworkConfig(rate_limit_requests=5)
    await trio.sleep(29)
    assert limiter_of("host:1", changed).budget[1] == 10
    await trio.sleep(2)
    assert limiter_of("host:1", changed).budget[1] == 5


async def test_one_that_is_used_stays_however_quiet_it_is(autojump_clock: MockClock) -> None:
    limiter = limiter_of("host:1", NetworkConfig())
    await trio.sleep(3600)
    for number in range(2, 100):
        limiter_of(f"host:{number}", NetworkConfig())
    assert limiter_of("host:1", NetworkConfig()) is limiter


# -- what the venue says ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "budget"),
    [
        (NetworkConfig(), (1200, 60.0)),
        (NetworkConfig(rate_limit_requests=600), (600, 60.0)),
        (NetworkConfig(rate_limit_requests=300, rate_limit_window=15.0), (300, 15.0)),
    ],
)
def test_the_adapters_budget_holds_where_the_settings_say_nothing(
    settings: NetworkConfig, budget: tuple[int, float]
) -> None:
    within = settings.within((1200, 60.0))
    assert (within.rate_limit_requests, within.rate_limit_window) == budget
    assert settings.within(None) is settings


@pytest.mark.parametrize("budget", [(0, 1.0), (10, 0.0), (10, float("inf"))])
def test_a_budget_that_no_host_can_mean_is_refused(budget: tuple[int, float]) -> None:
    with pytest.raises(ConfigurationError, match=r"rate_limit_\w+ = .* is not allowed"):
        NetworkConfig().within(budget)


class Strict(ReferenceExchange):
    """A venue that allows three requests in five seconds."""

    def __init__(self, ws_url: str, rest_url: str) -> None:
        super().__init__(ws_url=ws_url, rest_url=rest_url, session_id="ID")
        self.budget = (3, 5.0)


async def test_a_controller_stays_inside_its_adapters_budget(autojump_clock: MockClock) -> None:
    async def refuse(_socket: Socket, _number: int) -> None:
        """Close at once: everything comes over REST."""

    venue = Venue(refuse, history(lambda: 0))
    async with venue.feed(TICKER, exchange=Strict, rest_fetch_interval=0.5, reconnect_max_attempts=None) as feed:
        await trio.sleep(30)
        assert feed.controller.rest_budget[1] == 3
    times = [at for at, _, _ in venue.requests]
    assert 15 <= len(times) <= 20
    assert all(later - earlier >= 5.0 for earlier, later in zip(times, times[3:], strict=False))
