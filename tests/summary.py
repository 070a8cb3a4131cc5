"""The tables at the end of a run: what was killed, and what each fault ended with.

Owns how a row comes from the test that made it to the end of the run, also from a process that ran a part of
the tests beside others. Leaves to the tests what is counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

ACCOUNT = "account"
KILLS = "kills"
"""Properties of a test that carry a row; a test may have several."""

ACCOUNT_HEADS = (
    *("test", "delivered", "withheld", "stream", "search", "in gaps", "gap s", "lost", "doubled"),
    "unexplained",
)
KILL_COUNTS = ("kills", "delivered", "stored", "in_flight", "lost", "doubled")


def rows(reporter: pytest.TerminalReporter, name: str) -> Iterator[Any]:
    """The rows that the tests recorded under a name."""
    for reports in reporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "teardown":
                yield from (value for key, value in report.user_properties if key == name)


def accounts(reporter: pytest.TerminalReporter) -> None:
    """Every account of a fault in one line."""
    found = list(rows(reporter, ACCOUNT))
    if not found:
        return
    reporter.section("faults: layer 1 and the ledger of gaps against the record")
    line = "{:<62} {:>9} {:>8} {:>8} {:>8} {:>7} {:>7} {:>5} {:>7} {:>11}".format
    for row in (ACCOUNT_HEADS, *found):
        reporter.write_line(line(*row))


def kills(reporter: pytest.TerminalReporter, seed: str) -> None:
    """What was killed and what was found afterwards, one line for each kind of work."""
    works: dict[str, dict[str, Any]] = {}
    for row in rows(reporter, KILLS):
        known = works.setdefault(row["work"], dict.fromkeys(KILL_COUNTS, 0) | {"remarks": []})
        for name in (*KILL_COUNTS, "remarks"):
            known[name] += row[name]
    if not works:
        return
    reporter.section("kill -9")
    line = "{:<34} {:>6} {:>10} {:>10} {:>10} {:>6} {:>8}".format
    reporter.write_line(line("work", *(name.replace("_", " ") for name in KILL_COUNTS)))
    for work, counts in sorted(works.items()):
        reporter.write_line(line(work, *(counts[name] for name in KILL_COUNTS)))
        for remark in counts["remarks"]:
            reporter.write_line(f"    {remark}")
    total = sum(counts["kills"] for counts in works.values())
    reporter.write_line(f"{total} kills; again with BEMTEVI_TEST_SEED={seed}")
