"""Public holidays of the country in which a zone lies, for dim_date.

Owns which country a zone is in (tzdata's `zone.tab`) and the function that models call. Leaves the days to
the library `holidays`. Names are in the country's own language, whatever the language of who asks.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import cache
from importlib import resources

import duckdb
import holidays
from duckdb.func import FunctionNullHandling
from duckdb.sqltypes import DATE, VARCHAR

COMMENT = "#"


@cache
def countries() -> dict[str, str]:
    """The country, ISO 3166, of each zone that lies in one. A zone of none, or an old name, is left out."""
    text = (resources.files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8")
    lines = [line.split("\t") for line in text.splitlines() if line and not line.startswith(COMMENT)]
    return {zone: country for country, _, zone, *_ in lines}


def holiday_names(timezone: str) -> Callable[[date | None], str | None]:
    """A function of the holiday of a day in a zone's country: its name, or None."""
    country = countries().get(timezone)
    if country is None:
        return lambda _: None
    try:  # to ask for the list of countries would load every one
        language = holidays.country_holidays(country).default_language
    except NotImplementedError:
        return lambda _: None
    known = holidays.country_holidays(country, language=language)

    def holiday_name(day: date | None) -> str | None:
        return None if day is None else known.get(day)

    return holiday_name


def register(connection: duckdb.DuckDBPyConnection, timezone: str) -> None:
    """Give a connection `holiday_name(date)`, of the country of a zone; null where there is none."""
    connection.create_function(
        "holiday_name",
        holiday_names(timezone),
        [DATE],
        VARCHAR,
        null_handling=FunctionNullHandling.SPECIAL,
    )
