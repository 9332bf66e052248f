"""Business time as a value: fixed clocks, local days, and wall-clock times on the days when daylight saving changes."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dunning.kit.clock import FixedClock, SystemClock, instant_of, local_date, local_time

ROME = "Europe/Rome"


def at(text):
    return dt.datetime.fromisoformat(text)


def test_a_fixed_clock_stands_and_speaks_utc():
    clock = FixedClock(at("2026-03-02T09:00:00+01:00"))
    assert clock.now() == at("2026-03-02T08:00:00+00:00")
    assert clock.now().utcoffset() == dt.timedelta(0)
    assert clock.now() == clock.now()


def test_a_clock_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="zone"):
        FixedClock(dt.datetime(2026, 3, 2, 8))


def test_the_systems_clock_speaks_utc():
    assert SystemClock().now().utcoffset() == dt.timedelta(0)


@pytest.mark.parametrize(
    ("instant", "zone", "day"),
    [
        ("2026-03-01T22:59:59+00:00", ROME, "2026-03-01"),
        ("2026-03-01T23:00:00+00:00", ROME, "2026-03-02"),
        ("2026-07-01T21:59:59+00:00", ROME, "2026-07-01"),
        ("2026-07-01T22:00:00+00:00", ROME, "2026-07-02"),
        ("2026-03-02T11:59:59+00:00", "Pacific/Auckland", "2026-03-03"),
        ("2026-03-02T09:59:59+00:00", "Pacific/Honolulu", "2026-03-01"),
    ],
)
def test_the_day_is_the_one_on_the_wall(instant, zone, day):
    assert local_date(at(instant), zone) == dt.date.fromisoformat(day)


def test_an_hour_that_is_skipped_moves_forward():
    """29 March 2026: clocks in Rome go from 02:00 to 03:00."""
    assert instant_of(dt.date(2026, 3, 29), dt.time(2, 30), ROME) == at("2026-03-29T01:30:00+00:00")
    assert local_time(at("2026-03-29T01:30:00+00:00"), ROME).time() == dt.time(3, 30)


def test_an_hour_that_comes_twice_is_taken_once_the_first():
    """25 October 2026: 02:30 comes at 00:30 and again at 01:30 UTC."""
    assert instant_of(dt.date(2026, 10, 25), dt.time(2, 30), ROME) == at("2026-10-25T00:30:00+00:00")


@given(
    st.dates(dt.date(2020, 1, 1), dt.date(2035, 12, 31)),
    st.times(),
    st.sampled_from([ROME, "Europe/London", "America/New_York", "Pacific/Auckland", "America/Sao_Paulo", "UTC", "Asia/Kolkata", "Australia/Lord_Howe"]),
)
def test_a_wall_clock_time_falls_on_its_own_day_and_nights_rise(day, time, zone):
    instant = instant_of(day, time, zone)
    seen = local_time(instant, zone)
    skipped_forward = seen.replace(tzinfo=None) - dt.datetime.combine(day, time)
    assert dt.timedelta(0) <= skipped_forward <= dt.timedelta(hours=1)
    assert instant_of(day + dt.timedelta(days=1), time, zone) > instant
