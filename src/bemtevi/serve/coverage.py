"""How complete an answer about a hashtag is: which rules asked for it, and what the gap ledger says of them.

Owns the choice of the rules. Leaves the arithmetic to `lake.coverage`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from bemtevi.lake.coverage import Completeness, completeness, seconds, union
from bemtevi.lake.lake import Lake
from bemtevi.lake.local_ledger import known_gaps
from bemtevi.lake.sample import read_shares
from bemtevi.lake.sampling import Sampled
from bemtevi.lake.track import TrackedRule, read_rules
from bemtevi.warehouse.hashtag import extract, fold

NOT_BEFORE = ("-#", "-＃")


def rules_about(rules: Iterable[TrackedRule], hashtag: str) -> list[TrackedRule]:
    """The rules that ask for a hashtag (folded) by its name, alone or with others."""
    return [rule for rule in rules if hashtag in named(rule)]


def named(rule: TrackedRule) -> set[str]:
    """The hashtags that a rule asks for by their names, folded; not those that it excludes."""
    words = rule.value.replace("(", " ").split()
    wanted = " ".join(word for word in words if not word.startswith(NOT_BEFORE))
    return {fold(spelling) for spelling in extract(wanted)}


def hashtag_completeness(
    lake: Lake, hashtag: str, since: datetime, until: datetime, now: datetime
) -> Completeness | None:
    """How complete [since, until) is for a hashtag (folded); None if no rule asks for it by its name.

    Raises StorageError if the lake cannot be read.
    """
    rules = rules_about(read_rules(lake, removed=True), hashtag)
    if not rules:
        return None
    until = min(until, now)
    gaps = known_gaps(lake, now, since=since, until=until)
    return completeness(rules, gaps, since, until, read_shares(lake))


def plain(answer: Completeness) -> dict[str, Any]:
    """For a program: seconds, the share (0 to 1), the number of gaps, posts expected and stored in them, and
    the times in which only a share of the matches was asked for."""
    return {
        "tracked_seconds": answer.tracked_seconds,
        "listened_seconds": answer.listened_seconds,
        "filled_seconds": answer.filled_seconds,
        "missing_seconds": answer.missing_seconds,
        "share": answer.share,
        "gaps": len(answer.gaps),
        "expected": answer.expected,
        "stored": answer.stored,
        "sampled": [plain_sampled(part) for part in answer.sampled],
    }


def plain_sampled(part: Sampled) -> dict[str, Any]:
    """A sampled time for a program."""
    return {
        "network": part.network,
        "from": part.start,
        "to": part.end,
        "least_percent": part.least,
        "most_percent": part.most,
    }


def length(seconds: float) -> str:
    """A time span for a person."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 2 * 3_600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.1f} h" if seconds < 2 * 86_400 else f"{seconds / 86_400:.1f} days"


def sentence(answer: Completeness | None) -> str:
    """In one short line; shares are of the time in which it was followed."""
    if answer is None:
        return "completeness unknown: no rule names this hashtag"
    if answer.share is None:
        return "not followed then: the posts came by another way"
    parts = [f"listened {answer.listened_seconds / answer.tracked_seconds:.1%}"]
    if answer.filled_seconds:
        parts.append(f"filled {answer.filled_seconds / answer.tracked_seconds:.1%}")
    if answer.missing_seconds:
        parts.append(f"missing {length(answer.missing_seconds)}")
    if answer.sampled:
        low, high = min(part.least for part in answer.sampled), max(part.most for part in answer.sampled)
        percents = f"{low} %" if low == high else f"{low} to {high} %"
        span = seconds(union((part.start, part.end) for part in answer.sampled))
        parts.append(f"only {percents} of the posts asked for during {length(span)}")
    return ", ".join(parts)
