"""When a timer is due: NCRONTAB in five or six fields, or a time span, always in UTC."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from croniter import croniter

from localcloud.host.config import parse_span
from localcloud.host.errors import StartError

# croniter also takes `L`, `#`, `?`, `@daily` and 7 for Sunday; NCrontab does not.
_NAMES = "(?:JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC|SUN|MON|TUE|WED|THU|FRI|SAT)"
_ATOM = rf"(?:\*|(?:\d+|{_NAMES})(?:-(?:\d+|{_NAMES}))?)(?:/[1-9]\d*)?"
_FIELD = re.compile(rf"{_ATOM}(?:,{_ATOM})*", re.IGNORECASE)

Next = Callable[[datetime], datetime]


def parse_schedule(text: str) -> Next:
    """
    Return the function that gives the first due time after a given one.

    Raises:
        StartError: *text* is neither NCRONTAB nor a time span.
    """
    fields = text.split()
    if len(fields) == 1 and ":" in text:
        return _every(text)
    # Without this an explicit 7 would pass: croniter reads it as Sunday.
    sunday_as_seven = bool(fields) and re.search(r"(?<!\d)7(?!\d)", fields[-1].split("/")[0])
    if len(fields) not in (5, 6) or sunday_as_seven or not all(_FIELD.fullmatch(each) for each in fields):
        raise StartError(f"the schedule '{text}' is not valid NCRONTAB")
    # croniter takes a range of one weekday, 0-0, for every day.
    expression = re.sub(r"(?<![\w/])(\w+)-\1(?!\w)(?:/\d+)?", r"\1", " ".join(fields))
    seconds = len(fields) == 6
    # NCrontab wants both the day of the month and the day of the week to fit, where cron wants either.
    try:
        croniter(expression, second_at_beginning=seconds, day_or=False)
    except (ValueError, KeyError) as error:
        raise StartError(f"the schedule '{text}' is not valid NCRONTAB: {error}") from error

    def after(moment: datetime) -> datetime:
        rows = croniter(expression, moment.astimezone(UTC), second_at_beginning=seconds, day_or=False)
        due: datetime = rows.get_next(datetime)
        return due

    return after


def shortest_gap(schedule: Next, now: datetime) -> timedelta:
    """Return the time between the next two occurrences, which decides whether the host keeps a status."""
    first = schedule(now)
    return schedule(first) - first


def _every(text: str) -> Next:
    try:
        interval = timedelta(seconds=parse_span(text))
    except ValueError as error:
        raise StartError(f"the schedule '{text}' is not a time span") from error
    if not interval:
        raise StartError("a timer's interval must not be zero")
    return lambda moment: moment + interval
