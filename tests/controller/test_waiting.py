"""What a peer asks us to wait, however badly it says so."""

from datetime import UTC, datetime
from email.utils import format_datetime, formatdate
from math import isfinite
from time import time, tzset

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gapless.controller.waiting import RETRY_AFTER_MAX_S, retry_after_s

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("header", "seconds"), [("0", 0.0), ("7", 7.0), ("120", 120.0), (" 7 ", 7.0), ("1.5", 1.5), ("007", 7.0)]
)
def test_seconds(header: str, seconds: float) -> None:
    assert retry_after_s(header) == seconds


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),
        ("Thursday, 01-Jan-26 12:00:30 GMT", 30.0),
        ("Thu Jan  1 12:00:30 2026", 30.0),
        ("Thu, 01 Jan 2026 13:00:30 +0100", 30.0),
        ("Thu, 01 Jan 2026 12:00:30 -0000", 30.0),
        ("Thu, 01 Jan 2026 11:59:30 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
    ],
)
def test_a_date_is_measured_from_now(header: str, seconds: float) -> None:
    assert retry_after_s(header, now=NOW) == seconds


def test_a_date_without_a_zone_is_not_of_this_machines_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "UTC+7")
        tzset()
        assert retry_after_s("Thu, 01 Jan 2026 12:00:30 -0000", now=NOW) == 30.0
    tzset()


def test_without_a_given_now_a_date_is_measured_by_this_machines_clock() -> None:
    assert retry_after_s(formatdate(time() + 100, usegmt=True)) == pytest.approx(100.0, abs=2.0)


@pytest.mark.parametrize("header", [None, "", "   ", "soon", "7 s", "1h", "0x10", "Thu, 32 Jan 2026 12:00:00 GMT", "☃"])
def test_garbage_asks_for_nothing(header: str | None) -> None:
    assert retry_after_s(header, now=NOW) == 0.0


@pytest.mark.parametrize("header", ["inf", "-inf", "nan", "Infinity", "1e999"])
def test_what_is_no_number_of_seconds_asks_for_nothing(header: str) -> None:
    assert retry_after_s(header) == 0.0


@pytest.mark.parametrize("header", ["-1", "-0.0", "-1e300"])
def test_negative_seconds_ask_for_nothing(header: str) -> None:
    assert retry_after_s(header) == 0.0


@pytest.mark.parametrize("header", ["1e9", "99999999999999999999", "Thu, 01 Jan 2099 00:00:00 GMT"])
def test_more_than_the_longest_ban_is_a_mistake_of_the_peers(header: str) -> None:
    assert retry_after_s(header, now=NOW) == RETRY_AFTER_MAX_S


@settings(max_examples=120, derandomize=True, deadline=None)
@given(
    st.text(max_size=40)
    | st.floats().map(str)
    | st.integers().map(str)
    | st.datetimes(timezones=st.just(UTC)).map(lambda at: format_datetime(at, usegmt=True))
)
@example("Thu, 01 Jan 0001 00:00:00 GMT")
@example("Fri, 31 Dec 9999 23:59:59 GMT")
def test_whatever_comes_is_a_time_one_can_wait(header: str) -> None:
    seconds = retry_after_s(header, now=NOW)
    assert isfinite(seconds)
    assert 0.0 <= seconds <= RETRY_AFTER_MAX_S
