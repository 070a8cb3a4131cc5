"""What every case is given, and the figures that every case which moves posts answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deltalake import DeltaTable

from benchmarks.process import Measured

Figures = dict[str, object]


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    cache: Path
    posts: int | None
    seconds: float

    def of(self, usual: int) -> int:
        """The posts that were asked for, or the usual number of a case."""
        return self.posts or usual


def figures_of(posts: int, seconds: float, measured: Measured) -> Figures:
    """What every case that moves posts counts."""
    return {
        "posts": posts,
        "posts_per_second": round(posts / seconds),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(measured.cpu_seconds, 2),
        "peak_mb": round(measured.peak_mb),
    }


def rows_of(table: Path) -> int:
    """The rows of a table, told by its log."""
    actions = DeltaTable(table).get_add_actions(flatten=True)
    return sum(int(number) for number in actions["num_records"].to_pylist())
