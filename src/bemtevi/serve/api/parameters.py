"""The parameters that questions share, read from the address of a request.

Owns their names and bounds: `last` or `from` and `to`, `net`, `lang`, `type`, `limit`, `format`. They are
coroutines, though most wait for nothing: for a function a thread would be taken, and twice waited for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from fastapi import Depends, Path, Query, Request
from starlette.concurrency import run_in_threadpool

from bemtevi.errors import UsageError
from bemtevi.serve.api.answering import Answering
from bemtevi.serve.ask.selection import Selection
from bemtevi.serve.questions import Period

LAST = re.compile(r"(\d{1,5})(m|h|d|w)")
UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
LONGEST = timedelta(days=3660)
TICK_SECONDS = 5
TICKS = 10_000
"""A moving period moves in steps, the longer it is the longer, so that the same question has the same answer
for a while: until something comes. It ends with a step, so what comes is in it at once."""

Form = Annotated[
    Literal["json", "csv", "jsonl", "parquet", "arrow"],
    Query(alias="format", description="Form of the answer."),
]
Limit = Annotated[int, Query(ge=1, le=10_000, description="Most rows.")]
Granularity = Annotated[
    Literal["minute", "hour", "day", "week", "month"] | None,
    Query(alias="g", description="Length of a step."),
]


async def answering(request: Request) -> Answering:
    """The application's one."""
    found: Answering = request.app.state.answering
    return found


Answers = Annotated[Answering, Depends(answering)]


@dataclass(frozen=True)
class Asked:
    """The filters of a request."""

    period: Period
    zone: ZoneInfo
    network: str | None
    language: str | None
    type: str | None

    def selection(self, hashtag: str | None = None) -> Selection:
        """The posts that it is about."""
        return Selection(self.period, self.zone, hashtag, self.network, self.language, self.type)


async def asked(
    answers: Answers,
    last: Annotated[
        str | None, Query(description="Period before now: 90m, 24h, 7d, 4w.", examples=["7d"])
    ] = None,
    from_: Annotated[
        datetime | None, Query(alias="from", description="First instant, with its offset.")
    ] = None,
    to: Annotated[datetime | None, Query(description="Instant before which to stop.")] = None,
    net: Annotated[str | None, Query(max_length=40, description="Network: x.")] = None,
    lang: Annotated[
        str | None, Query(max_length=20, description="Language as BCP-47; und: not told.")
    ] = None,
    type: Annotated[  # noqa: A002  the name in the address
        Literal["original", "reply", "quote", "repost"] | None, Query(description="Type of post.")
    ] = None,
) -> Asked:
    """The filters; the last 24 hours if no period is given."""
    zone = ZoneInfo(answers.snapshots.lake.timezone)
    now = _ticked(TICK_SECONDS)
    if from_ is not None or to is not None:
        end = _zoned(to, zone) if to is not None else now
        start = _zoned(from_, zone) if from_ is not None else end - timedelta(days=1)
    else:
        match = LAST.fullmatch(last or "24h")
        if match is None or int(match[1]) == 0:
            raise UsageError(f"'{last}' is no period: write 90m, 24h, 7d or 4w.")
        length = int(match[1]) * UNITS[match[2]]
        end = _ticked(max(TICK_SECONDS, round(length.total_seconds() / TICKS)))
        start = end - length
    if not start < end:
        raise UsageError("The period is empty: `to` must be after `from`.")
    if end - start > LONGEST:
        raise UsageError("The period is longer than ten years.")
    return Asked(Period(start, end), zone, net, lang, type)


Filters = Annotated[Asked, Depends(asked)]


async def hashtag(
    answers: Answers,
    tag: Annotated[
        str, Path(max_length=300, description="The hashtag, with or without #.", examples=["covid19"])
    ],
) -> str:
    """The folded hashtag that a person means."""
    known = answers.known_hashtag(tag)
    return known if known is not None else await run_in_threadpool(answers.hashtag, tag)


Hashtag = Annotated[str, Depends(hashtag)]


def _ticked(seconds: int) -> datetime:
    """The end of the step of so many seconds that now is in."""
    return datetime.fromtimestamp((datetime.now(UTC).timestamp() // seconds + 1) * seconds, UTC)


def _zoned(at: datetime, zone: ZoneInfo) -> datetime:
    try:
        return (at if at.tzinfo is not None else at.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError:
        raise UsageError("A time is outside of the calendar.") from None
