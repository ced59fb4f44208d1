"""Dates as cameras, exiftool and spreadsheets write them; nothing is made up, and no order of day and month guessed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from finprint.base.errors import UserError

DayFirst = Literal["auto", True, False]
LONG_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
MONTHS = {name: number for number, month in enumerate(LONG_MONTHS, 1) for name in (month, month[:3])} | {"sept": 9}
# A zone does not count, because cameras have none.
TIME = re.compile(
    r"(?P<hour>\d{1,2})(?P<sign>[:.h-])(?P<minute>\d{2})(?:(?P=sign)(?P<second>\d{2})(?:[.,]\d+)?)?"
    r"\s*(?P<half>[ap]\.?\s?m\.?)?"
    r"\s*(?:Z|UTC|GMT)?\s*(?:[+-]\d{2}(?::?\d{2})?)?|(?P<packed>\d{4}(?:\d{2})?)",
    re.IGNORECASE,
)
WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+)?"
YEAR, NAME, REST = r"(?P<year>\d{4})", r"(?P<name>[a-z]{3,9})", r"(?P<rest>\D.*)?"
DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
YEAR_FIRST = re.compile(r"(?P<year>\d{4})(?P<sign>[-/.:_ ])(?P<month>\d{1,2})(?P=sign)(?P<day>\d{1,2})(?P<rest>\D.*)?")
PACKED = re.compile(r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)(?P<rest>\D.*|\d{6})?")
NUMBERS = re.compile(r"(?P<one>\d{1,2})(?P<sign>[-/. ])(?P<other>\d{1,2})(?P=sign)(?P<year>\d{4})(?P<rest>\D.*)?")
SPELLED = (
    re.compile(WEEKDAY + rf"{DAY}[-/. ]*{NAME}[-/., ]*{YEAR}{REST}"),
    re.compile(WEEKDAY + rf"{NAME}[-/. ]*{DAY}[-/., ]+{YEAR}{REST}"),
    re.compile(rf"{YEAR}[-/. ]*{NAME}[-/. ]*{DAY}{REST}"),
    re.compile(WEEKDAY + rf"{NAME}\s+{DAY}\s+(?P<rest>\d\d:\d\d:\d\d)\s+{YEAR}"),
)
SERIAL = re.compile(r"[2-5]\d{4}(?:[.,]\d+)?")  # days since the end of 1899, as spreadsheets count: 1954 to 2064
SHORT = re.compile(r"\d{1,2}[-/. ](?:\d{1,2}|[a-z]{3,9})[-/. ]'?\d{2}(?:\D.*)?", re.IGNORECASE)
EPOCH = re.compile(r"\d{10}(?:\d{3})?(?:\.\d+)?")


@dataclass(frozen=True)
class Read:
    """What was made of a text: a date and time, or the reason why not."""

    when: datetime | None
    reason: str = ""


def read_dates(dates: Mapping[str, str], day_first: DayFirst) -> dict[str, Read]:
    """Read the dates of a collection.

    Args:
        dates: each as it is written, and a row where it stands, for messages.
        day_first: is 3/4/2021 in April? auto: as the other dates of this kind say.

    Returns:
        For each date what was made of it.

    Raises:
        UserError: nothing tells whether day or month stands first, or one date says so and another one otherwise.
    """
    numbers = {text: match for text in dates if (match := NUMBERS.fullmatch(text.strip()))}
    order = _day_first(numbers, dates) if day_first == "auto" else day_first
    return {text: _read(text.strip(), order) for text in dates}


def _day_first(numbers: dict[str, re.Match[str]], dates: Mapping[str, str]) -> bool:
    """Does the day stand first? The dates whose day is above 12 tell."""
    fits = {text: (_fits(match, True), _fits(match, False)) for text, match in numbers.items()}
    days = [text for text, fit in fits.items() if fit == (True, False)]
    months = [text for text, fit in fits.items() if fit == (False, True)]
    unsure = [
        text for text, fit in fits.items() if all(fit) and int(numbers[text]["one"]) != int(numbers[text]["other"])
    ]
    ask = "set prepare.day_first to true or false"
    if days and months:
        one, other = days[0], months[0]
        raise UserError(
            f"{dates[one]}: {one!r} has the day first, but {other!r} of {dates[other]} has the month first: {ask}"
        )
    if unsure and not days and not months:
        raise UserError(
            f"{dates[unsure[0]]}: does the day or the month stand first in {unsure[0]!r}? No date tells: {ask}"
        )
    return bool(days)


def _fits(match: re.Match[str], day_first: bool) -> bool:
    day, month = (match["one"], match["other"]) if day_first else (match["other"], match["one"])
    return _date(match["year"], month, day) is not None


def _read(text: str, day_first: bool) -> Read:
    plain = text.casefold()
    if SERIAL.fullmatch(plain):
        days = float(plain.replace(",", "."))
        return Read(datetime(1899, 12, 30) + timedelta(seconds=round(days * 86400)))
    if SHORT.fullmatch(plain):
        return Read(None, "has a year of two digits: write four")
    if EPOCH.fullmatch(plain):
        return Read(None, "is no date but a count of seconds: write year, month and day")
    for form in (YEAR_FIRST, PACKED, NUMBERS, *SPELLED):
        if not (match := form.fullmatch(plain)):
            continue
        told = match.groupdict()
        if "name" in told and told["name"] not in MONTHS:
            continue
        if "one" in told:
            day, month = (told["one"], told["other"]) if day_first else (told["other"], told["one"])
        else:
            day, month = told["day"], told["month"] if "month" in told else str(MONTHS[told["name"]])
        date = _date(told["year"], month, day)
        if date is None:
            return Read(None, f"is no possible date{'' if 'one' not in told else _order_told(day_first)}")
        return _at(date, told["rest"] or "")
    return Read(None, "is no date")


def _order_told(day_first: bool) -> str:
    return f", read with the {'day' if day_first else 'month'} first"


def _date(year: str, month: str, day: str) -> datetime | None:
    try:
        date = datetime(int(year), int(month), int(day))
    except ValueError:
        return None
    return date if 1850 <= date.year < 2100 else None


def _at(date: datetime, rest: str) -> Read:
    """`date` with the time that is written behind it; midnight where there is none."""
    rest = rest.lstrip(" t,_-").strip()
    if not rest:
        return Read(date)
    time = TIME.fullmatch(rest)
    if not time:
        return Read(None, "is no date")
    if packed := time["packed"]:
        hour, minute, second = int(packed[:2]), int(packed[2:4]), int(packed[4:] or 0)
    else:
        hour, minute, second = (int(time[unit] or 0) for unit in ("hour", "minute", "second"))
    if time["half"]:
        if not 1 <= hour <= 12:
            return Read(None, "has a time that a clock of 12 hours lacks")
        hour = hour % 12 + (12 if time["half"].startswith("p") else 0)
    if hour > 23 or minute > 59 or second > 59:
        return Read(None, "has an impossible time")
    return Read(date.replace(hour=hour, minute=minute, second=second))
