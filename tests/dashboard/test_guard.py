"""Who may ask: the rules of the door, and what the guard does to replies."""

import pytest
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from gapless.dashboard.guard import Door, Guard
from gapless.dashboard.public_origin import PublicOrigin

LOOPBACK = Door("127.0.0.1", 8099)


def refused(door: Door, *, path: str = "/api/picture", **headers: str) -> str:
    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return door.refusal(Headers(raw=raw), path)


@pytest.mark.parametrize("host", ["127.0.0.1:8099", "localhost:8099", "LOCALHOST:8099", "[::1]:8099"])
def test_loopback_by_any_of_its_names_is_answered(host: str) -> None:
    assert not refused(LOOPBACK, host=host)
    assert not refused(LOOPBACK, host=host, origin=f"http://{host}", sec_fetch_site="same-origin")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8099",
        "evil.example",
        "127.0.0.1",
        "127.0.0.1:80",
        "127.0.0.1:99999999",
        "127.0.0.1:\xb2",
        "127.0.0.1.evil.example:8099",
        "127.0.0.2:8099",
        "[::2]:8099",
        "[::1]",
        ":8099",
        "",
    ],
)
def test_any_other_host_is_refused(host: str) -> None:
    assert "the request's Host is" in refused(LOOPBACK, host=host)
    assert "the request's Host is" in refused(LOOPBACK, host=host, path="/")


def test_no_host_and_two_hosts_are_refused() -> None:
    twice = [(b"host", b"127.0.0.1:8099"), (b"host", b"127.0.0.1:8099")]

    assert "Host is missing" in refused(LOOPBACK)
    assert "Host is" in LOOPBACK.refusal(Headers(raw=twice), "/")


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "https://127.0.0.1:8099", "http://127.0.0.1:8100", "http://localhost:8099", ""],
)
def test_a_foreign_origin_is_refused(origin: str) -> None:
    """localhost and 127.0.0.1 are two origins to a browser; a page of one has no business with the other."""
    assert "the request's Origin is" in refused(LOOPBACK, host="127.0.0.1:8099", origin=origin)


def test_another_sites_page_gets_the_front_page_and_nothing_else() -> None:
    """A link to the dashboard works from anywhere; an image that is none, to use up the streams, does not."""
    for site in ("cross-site", "same-site"):
        assert not refused(LOOPBACK, host="127.0.0.1:8099", sec_fetch_site=site, path="/")
        assert "another site" in refused(LOOPBACK, host="127.0.0.1:8099", sec_fetch_site=site, path="/events")


def test_the_name_it_is_bound_to_is_answered_too() -> None:
    door = Door("feed.example", 8099)

    assert not refused(door, host="feed.example:8099")
    assert not refused(door, host="127.0.0.1:8099")
    assert refused(door, host="evil.example:8099")


@pytest.mark.parametrize("bound", ["0.0.0.0", "::"])  # noqa: S104 (nothing is bound)
def test_bound_to_every_address_it_answers_to_addresses_but_not_to_names(bound: str) -> None:
    door = Door(bound, 8099)

    assert not refused(door, host="192.168.1.5:8099")
    assert not refused(door, host="[fe80::1]:8099")
    assert refused(door, host="evil.example:8099")


def test_port_80_needs_no_port() -> None:
    assert not refused(Door("127.0.0.1", 80), host="127.0.0.1")


def test_what_is_refused_is_quoted_short_and_in_ascii() -> None:
    said = refused(LOOPBACK, host="\xe9" * 10_000)

    assert said.isascii()
    assert len(said) < 300


async def asked(app: Guard, **headers: str) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await app({"type": "http", "method": "GET", "path": "/x", "headers": raw}, receive, send)
    return sent


async def works(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]})
    await send({"type": "http.response.body", "body": b"fine"})


async def fails(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("a defect")


async def fails_half_way(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200})
    raise RuntimeError("a defect")


async def test_every_reply_says_what_a_browser_may_do() -> None:
    for app, host, status in ((works, "127.0.0.1:8099", 200), (works, "evil", 403), (fails, "127.0.0.1:8099", 500)):
        start = (await asked(Guard(app, LOOPBACK), host=host))[0]

        assert start["status"] == status
        headers = dict(start["headers"])
        assert headers[b"content-security-policy"].startswith(b"default-src 'self'; ")
        assert b"frame-ancestors 'none'" in headers[b"content-security-policy"]
        assert headers[b"x-content-type-options"] == b"nosniff"


async def test_a_defect_ends_its_own_reply() -> None:
    sent = await asked(Guard(fails_half_way, LOOPBACK), host="127.0.0.1:8099")

    assert [message["type"] for message in sent] == ["http.response.start"]


PUBLIC = Door("127.0.0.1", 8099, PublicOrigin.of("https://dash.example.com"))


@pytest.mark.parametrize("host", ["dash.example.com", "DASH.example.com:443", "127.0.0.1:8099"])
def test_a_page_behind_a_reverse_proxy_is_answered_under_its_public_name(host: str) -> None:
    """Whether the proxy passes the Host on or not."""
    assert not refused(PUBLIC, host=host)
    assert not refused(PUBLIC, host=host, origin="https://dash.example.com", sec_fetch_site="same-origin")


def test_a_public_name_opens_the_door_to_nobody_else() -> None:
    assert "answers to https://dash.example.com, and " in refused(PUBLIC, host="evil.example")
    for host in ("dash.example.com:8099", "dash.example.com:80", "x.dash.example.com", "dash.example.com.evil.example"):
        assert "Host is" in refused(PUBLIC, host=host)
    for origin in ("http://dash.example.com", "https://dash.example.com:8099", "http://127.0.0.1:8099", "null"):
        assert "Origin is" in refused(PUBLIC, host="dash.example.com", origin=origin)
    assert "another site" in refused(PUBLIC, host="dash.example.com", sec_fetch_site="cross-site")
    assert not refused(PUBLIC, host="127.0.0.1:8099", origin="http://127.0.0.1:8099")
    assert refused(LOOPBACK, host="dash.example.com")


@pytest.mark.parametrize(
    ("url", "origin", "host"),
    [
        ("https://Dash.Example.com/", "https://dash.example.com", "dash.example.com"),
        ("https://dash.example.com:443", "https://dash.example.com", "dash.example.com"),
        ("http://10.0.0.2:8080", "http://10.0.0.2:8080", "10.0.0.2:8080"),
        ("http://[::1]:80", "http://[::1]", "[::1]"),
    ],
)
def test_a_public_url_is_read_as_browsers_send_it(url: str, origin: str, host: str) -> None:
    public = PublicOrigin.of(url)
    assert public.origin == origin
    assert host in public.hosts


@pytest.mark.parametrize(
    "url",
    [
        "",
        "dash.example.com",
        "ftp://dash.example.com",
        "https://",
        "https://dash.example.com/page",
        "https://dash.example.com?x",
        "https://dash.example.com#x",
        "https://me:secret@dash.example.com",
        "https://dash.example.com:0",
        "https://dash.example.com:70000",
        "https://dash.example.com:",
        "https://dash example.com",
        "https://dash.example.com\n",
        "https://d\xe4sh.example.com",
        "https://[::1",
        "https://*.example.com",
        "https://" + "x" * 10_000 + "/page",
    ],
)
def test_what_is_no_public_url_is_one_line(url: str) -> None:
    with pytest.raises(ValueError, match=r"^public_url = .* is not allowed: it is written https://HOST") as raised:
        PublicOrigin.of(url)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400


async def test_a_websocket_is_refused_before_it_is_accepted() -> None:
    async def never(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError

    for host in (b"127.0.0.1:8099", b"evil.example"):
        sent: list[Message] = []

        async def send(message: Message, sent: list[Message] = sent) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "websocket.connect"}

        await Guard(never, LOOPBACK)({"type": "websocket", "path": "/", "headers": [(b"host", host)]}, receive, send)
        assert sent == [{"type": "websocket.close"}]
