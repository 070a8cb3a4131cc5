"""Which posts a question is about, and what a question is.

Owns the selection (hashtag, period, network, language, type) as SQL. Columns used: `bridge_post_hashtag` for
the hashtag, `fact_post` for the rest. The dates of the lake's zone are named too, for they are the
partitions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bemtevi.lake.literal import text
from bemtevi.serve.questions import Period


@dataclass(frozen=True)
class Question:
    """One SELECT and the values of its `$names`."""

    sql: str
    values: dict[str, Any]

    def literal(self) -> str:
        """The same with the values written in, for a person to go on with."""
        text = self.sql
        for name in sorted(self.values, key=len, reverse=True):
            text = text.replace(f"${name}", _literal(self.values[name]))
        lines = [line.removeprefix("        ") for line in text.strip().splitlines() if line.strip()]
        return "\n".join(lines)


@dataclass(frozen=True)
class Selection:
    """Posts of a period; with a hashtag, only those that have it. None leaves a filter out."""

    period: Period
    zone: ZoneInfo
    hashtag: str | None = None
    network: str | None = None
    language: str | None = None
    type: str | None = None
    values: dict[str, Any] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.values.update(self.period.values)
        self.values["first_date"] = self._date(self.period.since)
        self.values["last_date"] = self._date(self.period.until - timedelta(microseconds=1))
        for name in ("hashtag", "network", "language", "type"):
            if getattr(self, name) is not None:
                self.values[name] = getattr(self, name)

    @property
    def is_filtered(self) -> bool:
        """Whether the aggregates cannot answer."""
        return self.language is not None or self.type is not None

    def when(self, table: str) -> str:
        """The condition on the time of a table that has `created_at` and `created_date`."""
        return (
            f"{table}.created_date between $first_date and $last_date "
            f"and {table}.created_at >= $since and {table}.created_at < $until"
        )

    @property
    def tagged(self) -> str:
        """Rows of `bridge_post_hashtag`; the filters on language and type are not in it."""
        conditions = [self.when("bridge")]
        if self.hashtag is not None:
            conditions.append("bridge.hashtag = $hashtag")
        if self.network is not None:
            conditions.append("bridge.network = $network")
        return f"select bridge.* from bridge_post_hashtag as bridge where {' and '.join(conditions)}"

    @property
    def posts(self) -> str:
        """Rows of `fact_post`, each once."""
        conditions = [self.when("post")]
        if self.network is not None:
            conditions.append("post.network = $network")
        if self.language is not None:
            conditions.append(
                "post.language is null"
                if self.language == "und"
                else "(post.language = $language or post.language like $language || '-%')"
            )
        if self.type is not None:
            conditions.append("post.type = $type")
        if self.hashtag is not None:
            # half the cost of looking the posts up in bridge_post_hashtag, which is made of this column
            conditions.append(
                "list_contains(list_transform(post.hashtags, lambda tag: tag.hashtag), $hashtag)"
            )
        return f"select post.* from fact_post as post where {' and '.join(conditions)}"

    def question(self, sql: str, **more: Any) -> Question:
        """A question with the values that it names."""
        values = {**self.values, **more}
        return Question(sql, {name: value for name, value in values.items() if f"${name}" in sql})

    def _date(self, at: datetime) -> date:
        return at.astimezone(self.zone).date()


def _literal(value: Any) -> str:
    match value:
        case datetime():
            return f"timestamptz '{value.isoformat()}'"
        case date():
            return f"date '{value.isoformat()}'"
        case str():
            return text(value)
        case list():
            return "[" + ", ".join(map(_literal, value)) + "]"
        case None:
            return "null"
        case _:
            return str(value)
