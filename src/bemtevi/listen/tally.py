"""What a commit brought to layer 1, for the metrics, the budget and the person.

Owns the counting of blocks that will be told only once they are committed: who tries again counts again.
Keeps no text but that of pages, whose posts are told apart later.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bemtevi import metrics
from bemtevi.lake.raw import QUARANTINE, RAW
from bemtevi.listen.message import Count, Shaped

KEPT = ["received_date", "kind", "key"]
"""What is kept of each row: it stays in memory until the commit."""


class Tally:
    """Adds up the blocks of one commit. `keep`: also the rows of each segment, for `segments`."""

    def __init__(self, *, keep: bool = False) -> None:
        self.count = Count()
        self._keep = keep
        self._kept: dict[int, tuple[list[pa.Table], Count]] = {}
        self._lags: dict[tuple[str, str], list[NDArray[np.float64]]] = {}
        self._quarantined: dict[tuple[str, str], int] = {}

    def add(self, segment: int, shaped: Shaped) -> None:
        """A block of a segment: the messages of one origin."""
        count = shaped.count
        count.post_ids.clear()
        self.count.add(count)
        (way,) = count.posts
        lag = pc.subtract(shaped.raw["received_at"].cast(pa.int64()), shaped.raw["event_at"].cast(pa.int64()))
        self._lags.setdefault(way, []).append(pc.divide(lag.drop_null().cast(pa.float64()), 1e6).to_numpy())
        if count.quarantined:
            self._quarantined[way] = self._quarantined.get(way, 0) + count.quarantined
        if self._keep:
            tables, total = self._kept.setdefault(segment, ([], Count()))
            tables.append(_without_posts(shaped.raw))
            total.add(count)

    def report(self) -> None:
        """Tell the metrics."""
        for (network, path), posts in self.count.posts.items():
            metrics.written(network, path, posts, np.concatenate(self._lags[network, path]))
        for (network, path), messages in self._quarantined.items():
            metrics.quarantined(network, path, messages)

    def segments(self) -> Iterator[tuple[int, Shaped]]:
        """Each segment with the columns `KEPT` of its rows, and the payload of pages."""
        for number, (tables, count) in self._kept.items():
            yield number, Shaped(pa.concat_tables(tables), QUARANTINE.schema.empty_table(), count)


def _without_posts(rows: pa.Table) -> pa.Table:
    pages = pc.equal(rows["kind"], "page")
    nothing = pa.nulls(rows.num_rows, pa.string())
    payload = pc.if_else(pages, rows["payload"], nothing) if pc.any(pages).as_py() else nothing
    return rows.select(KEPT).append_column(RAW.schema.field("payload"), payload)
