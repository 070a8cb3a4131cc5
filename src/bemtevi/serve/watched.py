"""What somebody watches on a terminal: the posts of some hashtags by minute, and each new one as it comes.

Owns the numbers that events change, and how they and a post look. Leaves the events to `live`, the screen to
the command.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from rich.cells import cell_len
from rich.text import Text

from bemtevi.serve.live import minutes_of
from bemtevi.serve.snapshot import Snapshot
from bemtevi.serve.terminal import cut, number, plain, sparkline

SHOWN = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
NAME_WIDTH = 15
TAG_WIDTH = 24


@dataclass
class Watched:
    """Posts by minute of the last hour, of each hashtag (folded)."""

    hashtags: tuple[str, ...]
    minutes: dict[str, dict[datetime, int]] = field(default_factory=dict)
    new: Counter[str] = field(default_factory=Counter)
    """Posts that came while we watched."""

    def begin(self, snapshot: Snapshot, now: datetime) -> None:
        """What is known already."""
        since = _minute(now) - SHOWN
        for hashtag, counts in minutes_of(snapshot.catalog, self.hashtags, since).items():
            self._set(hashtag, counts)

    def take(self, kind: str, data: Mapping[str, Any]) -> bool:
        """Whether an event is about what is watched; its counts are taken up."""
        if kind == "post":
            return not set(self.hashtags).isdisjoint(data["hashtags"])
        if kind != "count" or data["hashtag"] not in self.hashtags:
            return False
        self.new[data["hashtag"]] += data["new"]
        self._set(data["hashtag"], data["minutes"])
        return True

    def _set(self, hashtag: str, counts: Collection[tuple[datetime, int]]) -> None:
        """Counts carry the whole of a minute and only grow: an older one that comes late does no harm."""
        known = self.minutes.setdefault(hashtag, {})
        for at, posts in counts:
            known[at] = max(known.get(at, 0), posts)

    def series(self, hashtag: str, now: datetime) -> list[int]:
        """Posts of each of the last 60 minutes, the current one last; older ones are forgotten."""
        last = _minute(now)
        known = self.minutes.setdefault(hashtag, {})
        for at in [at for at in known if at <= last - SHOWN]:
            del known[at]
        return [known.get(last - MINUTE * back, 0) for back in range(int(SHOWN / MINUTE) - 1, -1, -1)]

    def lines(self, now: datetime, width: int) -> list[Text]:
        """A line for each hashtag: the last hour as bars, and its numbers."""
        found = []
        names = [cut("#" + plain(hashtag), TAG_WIDTH) for hashtag in self.hashtags]
        widest = max(map(cell_len, names), default=0)
        for hashtag, name in zip(self.hashtags, names, strict=True):
            counts = self.series(hashtag, now)
            told = (
                f"{number(sum(counts))} in the last hour · {number(counts[-1])} this minute · "
                f"{number(self.new[hashtag])} new"
            )
            bars, _ = sparkline(counts, max(min(len(counts), width - widest - cell_len(told) - 4), 0))
            line = Text(name + " " * (widest - cell_len(name) + 2), style="bold")
            found.append(line.append(bars + "  " * bool(bars), style="cyan").append(told, style="default"))
        return found


def post_line(post: Mapping[str, Any], zone: ZoneInfo) -> Text:
    """One post on one line: when it was written, by whom, and what it says."""
    at = post["created_at"].astimezone(zone)
    name = cut(plain(post["username"] or "–"), NAME_WIDTH)
    line = Text(f"{at:%H:%M:%S}  ", style="dim")
    line.append(name + " " * (NAME_WIDTH - cell_len(name) + 2), style="green")
    return line.append(plain(post["text"] or _kind(post)), style="default")


def _kind(post: Mapping[str, Any]) -> str:
    tags: Sequence[str] = post["hashtags"]
    return f"({post['type']}) " + " ".join("#" + tag for tag in tags)


def _minute(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(second=0, microsecond=0)
