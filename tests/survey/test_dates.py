"""Dates: the forms of cameras and spreadsheets, one order of day and month, and nothing made up."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finprint.base.errors import UserError
from finprint.survey.dates import DayFirst, read_dates


def _one(text: str, day_first: DayFirst = "auto") -> datetime | str:
    read = read_dates({text: "a.jpg"}, day_first)[text]
    return read.when or read.reason


@pytest.mark.parametrize(
    "text",
    [
        "2021:04:12 23:50:00", "2021:04:12 23:50:00.12", "2021:04:12 23:50:00+10:00", "2021-04-12 23:50:00",
        "2021-04-12T23:50", "2021-04-12T23:50:00Z", "2021-04-12T23:50:00.123456+0200", "2021/4/12 23:50",
        "2021.04.12 23.50",
        "20210412 2350", "20210412_235000", "20210412T235000", "20210412235000", "2021-04-12_23-50-00",
        "2021_04_12 23h50",
        "12-Apr-2021 23:50", "12 April 2021 23:50", "12th April 2021, 11:50 PM", "April 12, 2021 11:50 p.m.",
        "Apr 12 2021 23:50",
        "12APR2021 23:50", "Mon, 12 Apr 2021 23:50:00 +0000", "Monday, April 12, 2021 11:50 PM",
        "Mon Apr 12 23:50:00 2021",
        "2021-Apr-12 23:50", "44298.993055556", "44298,993055556", " 2021-04-12 23:50 ",
    ],
)  # fmt: skip
def test_one_moment_in_many_forms(text: str) -> None:
    assert _one(text) == datetime(2021, 4, 12, 23, 50)


@pytest.mark.parametrize(
    ("text", "day", "month"),
    [
        ("12/04/2021 23:50", datetime(2021, 4, 12, 23, 50), datetime(2021, 12, 4, 23, 50)),
        ("4/12/2021 11:50 PM", datetime(2021, 12, 4, 23, 50), datetime(2021, 4, 12, 23, 50)),
        ("04.07.2021 08:15", datetime(2021, 7, 4, 8, 15), datetime(2021, 4, 7, 8, 15)),
        ("4-7-2021, 12:05 am", datetime(2021, 7, 4, 0, 5), datetime(2021, 4, 7, 0, 5)),
    ],
)
def test_day_or_month_first(text: str, day: datetime, month: datetime) -> None:
    assert _one(text, True) == day
    assert _one(text, False) == month
    with pytest.raises(UserError) as caught:
        _one(text)
    assert str(caught.value) == (
        f"a.jpg: does the day or the month stand first in {text!r}? No date tells: set prepare.day_first to true or "
        "false"
    )


def test_the_whole_column_tells() -> None:
    days = ["12/04/2021 23:50", "13/04/2021 00:10", "04.07.2021 08:15", "2021-01-02"]
    read = read_dates(dict.fromkeys(days, "a.jpg"), "auto")
    assert [read[day].when for day in days] == [
        datetime(2021, 4, 12, 23, 50), datetime(2021, 4, 13, 0, 10), datetime(2021, 7, 4, 8, 15), datetime(2021, 1, 2),
    ]  # fmt: skip
    months = ["04/12/2021", "04/13/2021"]
    assert [one.when for one in read_dates(dict.fromkeys(months, ""), "auto").values()] == [
        datetime(2021, 4, 12),
        datetime(2021, 4, 13),
    ]
    assert _one("05/05/2021") == datetime(2021, 5, 5)  # either way


def test_a_column_that_says_both() -> None:
    with pytest.raises(UserError) as caught:
        read_dates({"13/04/2021": "a.jpg", "01/02/2021": "b.jpg", "04/14/2021": "c.jpg"}, "auto")
    assert str(caught.value) == (
        "a.jpg: '13/04/2021' has the day first, but '04/14/2021' of c.jpg has the month first: "
        "set prepare.day_first to true or false"
    )
    read = read_dates({"13/04/2021": "a.jpg", "04/14/2021": "c.jpg"}, True)
    assert read["04/14/2021"].reason == "is no possible date, read with the day first"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("soon", "is no date"), ("", "is no date"), ("10:30", "is no date"), ("10:30:15", "is no date"),
        ("2015", "is no date"),
        ("July 2015", "is no date"), ("2021-04", "is no date"), ("12 Foo 2021", "is no date"),
        ("2021-04-12 noon", "is no date"),
        ("2021-04-12 10", "is no date"), ("20", "is no date"), ("2021-04-12 -", "is no date"), ("123456", "is no date"),
        ("2021-02-30", "is no possible date"), ("2021-13-04", "is no possible date"),
        ("0000:00:00 00:00:00", "is no possible date"), ("30 Feb 2021", "is no possible date"),
        ("31/02/2021", "is no possible date, read with the month first"),
        ("0021-04-12", "is no possible date"), ("2021-04-12 24:00", "has an impossible time"),
        ("2021-04-12 10:61", "has an impossible time"),
        ("2021-04-12 23:50 PM", "has a time that a clock of 12 hours lacks"),
        ("2021-04-12 0:10 AM", "has a time that a clock of 12 hours lacks"),
        ("12/04/21", "has a year of two digits: write four"), ("4/12/21 23:50", "has a year of two digits: write four"),
        ("12-Apr-21", "has a year of two digits: write four"), ("12.04.21", "has a year of two digits: write four"),
        ("1618271400", "is no date but a count of seconds: write year, month and day"),
    ],
)  # fmt: skip
def test_what_is_no_date(text: str, reason: str) -> None:
    expected: datetime | str = reason
    if text == "2021-04-12 -":
        expected = datetime(2021, 4, 12)
    assert _one(text) == expected


FORMS = [
    "%Y-%m-%d %H:%M:%S",
    "%Y:%m:%d %H:%M:%S",
    "%Y%m%d_%H%M%S",
    "%d %B %Y %H:%M:%S",
    "%b %d, %Y %I:%M:%S %p",
    "%d.%m.%Y %H:%M:%S",
]


@given(when=st.datetimes(datetime(1900, 1, 1), datetime(2099, 12, 31)), form=st.sampled_from(FORMS))
def test_what_is_written_is_read(when: datetime, form: str) -> None:
    assert _one(when.strftime(form), True) == when.replace(microsecond=0)


@given(text=st.text(max_size=20) | st.from_regex(r"[0-9/:. -]{4,20}"))
def test_nothing_is_an_error_where_the_order_is_told(text: str) -> None:
    read = read_dates({text: "a"}, True)[text]
    assert (read.when is None) == bool(read.reason)
