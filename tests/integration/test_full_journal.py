"""A disk of a few MB under the journal: reading stops on purpose, goes on again, and nothing is corrupted."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import pytest
from structlog.testing import capture_logs
from tests.integration.conftest import SmallDisk
from tests.support import eventually

from bemtevi.errors import DiskFullError
from bemtevi.lake.layout import JournalLayout
from bemtevi.listen import segment
from bemtevi.listen.intake import Intake
from bemtevi.listen.journal import Journal, Limits
from bemtevi.listen.message import Origin

NEVER = 3_600.0
LINE = 2_000


def fill(intake: Intake, first: int, most: int = 1 << 30) -> int:
    """Put numbered messages until the disk is full; the number after the last that was taken."""
    for number in range(first, most):
        try:
            intake.put(b"%08d" % number + b"x" * LINE)
        except DiskFullError:
            return number
        time.sleep(0.0001)
    return most


def kept(layout: JournalLayout) -> Iterator[int]:
    yield from kept_in(layout, layout.segments())


def kept_in(layout: JournalLayout, segments: Iterable[int]) -> Iterator[int]:
    for number in segments:
        for block in segment.decode(layout.segment(number)):
            yield from (int(payload[:8]) for payload in block.payloads)


@pytest.mark.parametrize("reserve", [0, 2_000_000])
def test_a_disk_that_fills_up_and_has_room_again(small_disk: SmallDisk, reserve: int) -> None:
    """Reserve 0: it is found out by writes that fail, in the middle of a block."""
    disk = small_disk("8m")
    layout = JournalLayout(disk, "x")
    journal = Journal(layout, "/lake", Limits(0.002, 1 << 20, NEVER, reserve))
    journal.start(-1)
    intake = journal.intake(Origin("x", "host", "stream", "s"))
    with capture_logs() as logs:
        upto = fill(intake, 0)
    told = [entry["event"] for entry in logs]
    assert "journal.disk_full" in told
    if reserve:
        assert told.index("journal.disk_low") < told.index("journal.disk_full"), "warned early"
        assert sum(path.stat().st_size for path in disk.rglob("*")) < 7_000_000
    assert journal.full
    assert journal.failure is None
    assert 500 < upto < 9_000_000 // LINE
    # the writer makes room: what it drops was kept, in order, up to a message that was acknowledged
    eventually(lambda: not layout.open_segments() or reserve == 0)
    written = layout.segments()  # another may be sealed any moment, and is not dropped then
    dropped = list(kept_in(layout, written))
    assert dropped == list(range(len(dropped)))
    for number in written:
        journal.drop(number)
    eventually(lambda: not journal.full)
    more = fill(intake, upto, upto + 200)
    journal.close()
    journal.check()
    journal.release()
    assert dropped + list(kept(layout)) == list(range(more)), "lost, doubled or out of order"
    assert journal.acknowledged == more


def test_a_disk_that_is_full_at_the_end_is_told_and_what_was_acknowledged_is_kept(
    small_disk: SmallDisk,
) -> None:
    layout = JournalLayout(small_disk("3m"), "x")
    journal = Journal(layout, "/lake", Limits(0.002, 1 << 30, NEVER))
    journal.start(-1)
    fill(journal.intake(Origin("x", "host", "stream", "s")), 0)
    journal.close()
    with pytest.raises(Exception, match="free some space"):
        journal.check()
    acknowledged = journal.acknowledged
    journal.release()
    small_disk("20m")
    again = Journal(layout, "/lake", Limits(0.002, 1 << 30, NEVER))
    again.release()
    assert list(kept(layout)) == list(range(acknowledged))
