"""X's ids: time in the upper bits, a sequence below.

Owns: making unique, rising ids and reading the time back. Knows nothing of posts.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH_MS = 1_288_834_974_657
LOW_BITS = 22
# The upper half of the low bits is kept for ids that were never emitted (included originals, authors).
ELSEWHERE = 1 << (LOW_BITS - 1)


def milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970 of an aware moment, without the rounding of floats."""
    return (moment - _UNIX) // _MILLISECOND


def time_of(identity: int) -> datetime:
    """When an id was made."""
    return _UNIX + timedelta(milliseconds=(identity >> LOW_BITS) + EPOCH_MS)


def identity_at(moment: datetime, low: int = 0) -> int:
    """The id of a moment; with the default, the smallest one."""
    return (milliseconds(moment) - EPOCH_MS) << LOW_BITS | low


def timestamp(moment: datetime) -> str:
    """A UTC moment as X writes `created_at`: whole seconds, with zeros where milliseconds would be."""
    return moment.isoformat()[:19] + ".000Z"


class Snowflakes:
    """A source of unique ids that never fall, even when its clock does."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next = 0

    def take(self, moment_ms: int) -> int:
        """An id of that millisecond, or of the next free one."""
        return self.take_many(moment_ms, 1)[0]

    def take_many(self, moment_ms: int, count: int) -> range:
        """That many consecutive ids, all within one millisecond."""
        first = max(self._next, (moment_ms - EPOCH_MS) << LOW_BITS)
        if (first & (2 * ELSEWHERE - 1)) + count > ELSEWHERE:
            first = ((first >> LOW_BITS) + 1) << LOW_BITS
        self._next = first + count
        return range(first, first + count)


_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
