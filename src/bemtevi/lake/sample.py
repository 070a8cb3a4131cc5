"""Layer 1: `sample`, which share of its matches each rule asked for, and since when.

Owns the definition, the writing of changes and the reading of them. Without a row a rule asks for all.
A post that was matched by a rule with `percent` stands for 100 / percent posts; one that several rules
matched for the largest of their percents (X does not say whether their draws are independent).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from bemtevi.lake.definition import TIMESTAMP, Column, TableDefinition

if TYPE_CHECKING:
    from bemtevi.lake.lake import Lake

SAMPLE = TableDefinition(
    name="sample",
    layer=1,
    grain="one change of the share of its matches that a rule asks for",
    key=("network", "tag", "since"),
    columns=(
        Column("network", pa.string(), "Network at which the rule is followed."),
        Column("tag", pa.string(), "Our stable id of the rule."),
        Column("since", TIMESTAMP, "From when on, until the next row of the rule; X takes some seconds."),
        Column("percent", pa.int32(), "The share, 1 to 100: a post stands for 100 / percent."),
        Column("cause", pa.string(), "rule (its own words say so) or budget (we slowed it)."),
    ),
)


@dataclass(frozen=True)
class Share:
    """From `since` on a rule asks for this percent of its matches."""

    network: str
    tag: str
    since: datetime
    percent: int


def read_shares(lake: Lake) -> list[Share]:
    """Every change of a share, oldest first."""
    table = lake.table(SAMPLE)
    if not table.exists():
        return []
    rows = table.read().select(["network", "tag", "since", "percent"]).to_pylist()
    return sorted((Share(**row) for row in rows), key=lambda share: share.since)


def shares(lake: Lake, network: str) -> dict[str, int]:
    """The percent of each rule that has one, by tag, as last written."""
    return {share.tag: share.percent for share in read_shares(lake) if share.network == network}


def note_shares(
    lake: Lake, network: str, percents: Mapping[str, int], *, slowed: bool, now: datetime
) -> dict[str, int]:
    """Write the shares that differ from what holds, in one commit; what was written."""
    known = shares(lake, network)
    changed = {tag: percent for tag, percent in percents.items() if known.get(tag, 100) != percent}
    if changed:
        rows = [
            {
                "network": network,
                "tag": tag,
                "since": now,
                "percent": percent,
                "cause": "budget" if slowed or known.get(tag, 100) != 100 else "rule",
            }
            for tag, percent in changed.items()
        ]
        lake.table(SAMPLE).append(pa.Table.from_pylist(rows, schema=SAMPLE.schema))
    return changed
