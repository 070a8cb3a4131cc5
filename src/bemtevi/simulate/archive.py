"""The posts produced so far, for search and counts.

Owns: the last N posts in the order of their ids. What matches a query is not known here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from itertools import pairwise
from operator import itemgetter

from bemtevi.simulate.sources import Made
from bemtevi.simulate.template import Template

_identity = itemgetter(0)


class Archive:
    """Bounded: the oldest ids go first."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._posts: list[Made] = []

    def __len__(self) -> int:
        return len(self._posts)

    def extend(self, made: Sequence[Made]) -> None:
        """Add posts; an id that is there already is left as it was."""
        if not self._keep or not made:
            return
        posts = self._posts
        rising = all(one[0] < other[0] for one, other in pairwise(made))
        if rising and (not posts or posts[-1][0] < made[0][0]):
            posts.extend(made)
        else:
            for post in made:
                place = bisect_left(posts, post[0], key=_identity)
                if place == len(posts) or posts[place][0] != post[0]:
                    insort(posts, post, key=_identity)
        # In large steps: every cut moves the whole list.
        if len(posts) > self._keep + max(self._keep // 10, 1_000):
            del posts[: len(posts) - self._keep]

    def newest_first(self, after: int, before: int) -> Iterator[tuple[int, Template]]:
        """The posts whose id lies strictly between, newest first."""
        low = bisect_right(self._posts, after, key=_identity)
        high = bisect_left(self._posts, before, key=_identity)
        for place in range(high - 1, low - 1, -1):
            yield self._posts[place]
