"""Hours as conditions on tables: which rows and which partitions they are. Pure.

Owns the conditions in the SQL of the table format, by which files are left out before anything is read. A
table is partitioned by the dates of a zone, or by month where versions are kept. Leaves to `literal` the form
of times in an engine's SQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from bemtevi.warehouse.model import Model, Scope

HOUR = timedelta(hours=1)


def hours_of(start: datetime, end: datetime) -> list[datetime]:
    """The hours of [start, end)."""
    return [start + number * HOUR for number in range(int((end - start) / HOUR))]


def messages_of(start: datetime, end: datetime) -> str:
    """The messages that may hold posts of [start, end).

    A page has no time of its own: its posts are told apart after staging.
    """
    return f"event_at is null or (event_at >= {instant(start)} and event_at < {instant(end)})"


def within(model: Model, hours: Sequence[datetime], zone: ZoneInfo) -> str:
    """The rows of some hours; their dates too, for those are the partitions."""
    return f"{on_dates(model, hours, zone)} and {model.hour} in ({instants(hours)})" if hours else "false"


def since(model: Model, hours: Sequence[datetime], zone: ZoneInfo) -> str:
    """The rows of the first of some hours and of all later."""
    if not hours:
        return "false"
    first = min(hours)
    day = min(dates_of(model, [first], zone))
    return f"{model.day} >= '{day}' and {model.hour} >= {instant(first)}"


def on_dates(model: Model, hours: Sequence[datetime], zone: ZoneInfo) -> str:
    """The rows of the dates of some hours."""
    dates = ", ".join(f"'{date}'" for date in dates_of(model, hours, zone))
    return f"{model.day} in ({dates})" if hours else "false"


def dates_of(model: Model, hours: Sequence[datetime], zone: ZoneInfo) -> list[str]:
    """The dates of the partitions that the hours lie in: two for an hour over midnight."""
    if model.scope is Scope.SINCE:
        months = {hour.astimezone(UTC).date().replace(day=1) for hour in hours}
        return [month.isoformat() for month in sorted(months)]
    return [date.isoformat() for date in sorted(local_dates(hours, zone))]


def local_dates(hours: Iterable[datetime], zone: ZoneInfo) -> set[date]:
    """The dates that hours lie in: two for an hour over midnight."""
    last = HOUR - timedelta(microseconds=1)
    return {moment.astimezone(zone).date() for hour in hours for moment in (hour, hour + last)}


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The UTC hour in which a local day begins."""
    return datetime.combine(day, time(), zone).astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def instants(hours: Iterable[datetime]) -> str:
    """Some hours as a list."""
    return ", ".join(map(instant, hours))


def instant(at: datetime) -> str:
    """An instant, whole seconds, in SQL."""
    return f"'{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}'"
