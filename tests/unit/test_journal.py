"""The journal: what it acknowledged is there again, whatever happened in between."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.support import eventually

from bemtevi.errors import ConflictError, CorruptionError, StorageError, UsageError
from bemtevi.lake.layout import JournalLayout
from bemtevi.listen import segment
from bemtevi.listen.intake import Intake
from bemtevi.listen.journal import Journal, Limits
from bemtevi.listen.message import Messages, Origin

NEVER = 3_600.0
LARGE = 1 << 30
LIMITS = Limits(fsync_seconds=0.005, segment_bytes=LARGE, segment_seconds=NEVER)
LAKE = "/lake"


def origin(session: str = "s") -> Origin:
    return Origin("x", "host", "stream", session)


@pytest.fixture
def layout(tmp_path: Path) -> JournalLayout:
    return JournalLayout(tmp_path, "x")


@pytest.fixture
def open_journal(layout: JournalLayout) -> Iterator[Callable[..., Journal]]:
    """Opens journals and lets go of them in the end."""
    opened: list[Journal] = []

    def open_one(lake: str = LAKE, limits: Limits = LIMITS, committed: int | None = -1) -> Journal:
        journal = Journal(layout, lake, limits)
        opened.append(journal)
        if committed is not None:
            journal.start(committed)
        return journal

    yield open_one
    for journal in opened:
        end(journal)


Open = Callable[..., Journal]


def end(journal: Journal) -> None:
    journal.close()
    journal.release()


def sealed(layout: JournalLayout) -> list[Messages]:
    return [block for number in layout.segments() for block in segment.decode(layout.segment(number))]


def kept(layout: JournalLayout, session: str = "s") -> list[tuple[int, bytes]]:
    return [
        (sequence, payload)
        for block in sealed(layout)
        if block.origin.session == session
        for sequence, payload in zip(block.sequences, block.payloads, strict=True)
    ]


def test_what_is_put_is_sealed_on_close_in_order(layout: JournalLayout, open_journal: Open) -> None:
    journal = open_journal()
    intake = journal.intake(origin())
    for number in range(100):
        intake.put(b"%d" % number)
    journal.close()
    assert kept(layout) == [(number, b"%d" % number) for number in range(100)]
    assert (journal.acknowledged, layout.segments(), layout.open_segments()) == (100, [0], [])


def test_what_is_acknowledged_is_in_the_open_segment(layout: JournalLayout, open_journal: Open) -> None:
    journal = open_journal()
    journal.intake(origin()).put(b"one")
    eventually(lambda: journal.acknowledged == 1)
    (path,) = layout.open_segments()
    assert segment.whole_bytes(path) == path.stat().st_size > 0
    assert [list(block.payloads) for block in segment.decode(path)] == [[b"one"]]


def test_received_at_is_the_clock_of_the_put(layout: JournalLayout) -> None:
    now = 1_700_000_000_000_000_000
    journal = Journal(layout, LAKE, LIMITS, clock=lambda: now)
    journal.start(-1)
    journal.intake(origin()).put(b"one")
    end(journal)
    (block,) = sealed(layout)
    assert block.received_at == [now // 1000]


def test_what_was_put_before_the_instant_it_names_is_durable(
    layout: JournalLayout, open_journal: Open
) -> None:
    journal = open_journal()
    intake = journal.intake(origin())
    for number in range(20):
        intake.put(b"%d" % number)
        at = time.time_ns()
        eventually(lambda at=at: journal.durable_until > at)  # type: ignore[misc]
        assert journal.acknowledged == number + 1


def test_a_way_in_that_goes_on(layout: JournalLayout, open_journal: Open) -> None:
    journal = open_journal()
    intake = journal.intake(origin(), first=7)
    intake.put(b"seven")
    intake.put(b"eight")
    journal.close()
    assert kept(layout) == [(7, b"seven"), (8, b"eight")]


def test_several_intakes_lose_nothing_and_keep_their_order(layout: JournalLayout, open_journal: Open) -> None:
    limits = Limits(fsync_seconds=0.001, segment_bytes=20_000, segment_seconds=NEVER)
    journal = open_journal(limits=limits)

    def feed(intake: Intake) -> None:
        for number in range(2_000):
            intake.put(b"%d" % number)
            if number % 100 == 0:
                time.sleep(0.001)
        intake.closed = True

    intakes = [journal.intake(origin(f"s{number}")) for number in range(4)]
    threads = [threading.Thread(target=feed, args=(intake,)) for intake in intakes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    for number in range(4):
        assert kept(layout, f"s{number}") == [(place, b"%d" % place) for place in range(2_000)]
    assert len(layout.segments()) > 1
    assert journal.acknowledged == 8_000


def test_a_segment_is_sealed_by_size(layout: JournalLayout, open_journal: Open) -> None:
    journal = open_journal(limits=Limits(0.001, 10_000, NEVER))
    intake = journal.intake(origin())
    for number in range(1, 7):
        intake.put(b"x" * 6_000)
        eventually(lambda number=number: journal.acknowledged == number)  # type: ignore[misc]
        eventually(lambda number=number: len(layout.segments()) == number // 2)  # type: ignore[misc]
    eventually(journal.sealed.is_set)


def test_a_segment_is_sealed_by_time_but_never_empty(layout: JournalLayout, open_journal: Open) -> None:
    journal = open_journal(limits=Limits(0.005, LARGE, 0.15))
    started = time.monotonic()
    journal.intake(origin()).put(b"one")
    eventually(lambda: layout.segments() == [0])
    assert time.monotonic() - started >= 0.15
    eventually(journal.sealed.is_set)
    time.sleep(0.4)
    assert (layout.segments(), layout.open_segments()) == ([0], [])


def left_open(layout: JournalLayout, open_journal: Open, data: bytes, number: int = 0) -> Path:
    """A journal as a killed process leaves it."""
    if not layout.identity.exists():
        end(open_journal())
    path = layout.open_segment(number)
    path.write_bytes(data)
    return path


def block(number: int) -> Messages:
    return Messages(origin(), [b"payload %d" % number], [7], [number])


def test_a_torn_tail_is_dropped_and_told(layout: JournalLayout, open_journal: Open) -> None:
    whole = segment.encode(block(0)) + segment.encode(block(1))
    last = segment.encode(block(2))
    for size in (*range(1, 20), *range(20, len(last), 23), len(last) - 1):
        left_open(layout, open_journal, whole + last[:size])
        with capture_logs() as logs:
            end(open_journal(committed=None))
        (told,) = [entry for entry in logs if entry["event"] == "journal.torn_tail"]
        assert (told["log_level"], told["bytes_dropped"]) == ("warning", size)
        assert kept(layout) == [(0, b"payload 0"), (1, b"payload 1")]
        layout.segment(0).unlink()


def test_an_open_segment_without_a_whole_block_is_nothing(layout: JournalLayout, open_journal: Open) -> None:
    for data in (b"", segment.encode(block(0))[:-1]):
        left_open(layout, open_journal, data)
        end(open_journal(committed=None))
        assert (layout.segments(), layout.open_segments()) == ([], [])


def test_what_a_killed_process_left_is_sealed_whole(layout: JournalLayout, open_journal: Open) -> None:
    left_open(layout, open_journal, segment.encode(block(0)) + segment.encode(block(1)), number=6)
    with capture_logs() as logs:
        journal = open_journal(committed=5)
    assert not [entry for entry in logs if entry["event"] == "journal.torn_tail"]
    journal.intake(origin("new")).put(b"one")
    journal.close()
    assert layout.segments() == [6, 7]
    assert len(kept(layout)) == 2


def test_a_torn_segment_of_an_earlier_version_is_mended_and_told(
    layout: JournalLayout, open_journal: Open
) -> None:
    data = (Path(__file__).with_name("segments") / "bmt1.segment").read_bytes()
    left_open(layout, open_journal, data[:-5])
    with capture_logs() as logs:
        end(open_journal(committed=None))
    assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == ["journal.torn_tail"]
    assert [sequence for sequence, _ in kept(layout, "0f" * 16)] == [0, 1, 2]


@pytest.mark.parametrize("place", [2, 5, 9, 13, 40, -1])
def test_damage_is_never_taken_for_a_torn_tail(layout: JournalLayout, open_journal: Open, place: int) -> None:
    first = bytearray(segment.encode(block(0)))
    first[place] ^= 0x40
    data = bytes(first) + segment.encode(block(1))
    path = left_open(layout, open_journal, data)
    for _ in range(2):  # the second time too: the first has let go of the journal
        with pytest.raises(CorruptionError):
            open_journal()
    assert path.read_bytes() == data


def test_the_second_instance_is_refused(layout: JournalLayout, open_journal: Open) -> None:
    first = open_journal()
    with pytest.raises(ConflictError, match="already listening"):
        open_journal()
    script = f"""
from pathlib import Path
from bemtevi.errors import ConflictError
from bemtevi.lake.layout import JournalLayout
from bemtevi.listen.journal import Journal, Limits
try:
    Journal(JournalLayout(Path({str(layout.root)!r}), "x"), {LAKE!r}, Limits(1, 1024, 1))
except ConflictError:
    print("refused")
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "refused\n"
    closer = threading.Thread(target=end, args=(first,))  # whoever ends it, in whatever thread
    closer.start()
    closer.join()
    open_journal()


def test_a_journal_for_another_lake_is_refused_while_it_holds_messages(
    layout: JournalLayout, open_journal: Open
) -> None:
    journal = open_journal()
    listener = journal.listener
    journal.intake(origin()).put(b"one")
    end(journal)
    with pytest.raises(UsageError, match="still holds messages for the lake /lake, not for /other"):
        open_journal("/other")
    journal = open_journal()
    assert journal.listener == listener
    journal.drop(0)
    end(journal)
    assert open_journal("/other").listener != listener


def test_a_torn_segment_of_another_lake_is_left_alone(layout: JournalLayout, open_journal: Open) -> None:
    path = left_open(layout, open_journal, segment.encode(block(0)))
    with pytest.raises(UsageError):
        open_journal("/other")
    assert path.exists()


@pytest.mark.parametrize("committed", [-1, 0, 40])
def test_a_number_never_comes_twice(layout: JournalLayout, open_journal: Open, committed: int) -> None:
    """Also if the lake that has the segments cannot be seen at the start: `committed` is then -1."""
    used: list[int] = []
    for _ in range(3):
        journal = open_journal(committed=committed)
        journal.intake(origin()).put(b"one")
        end(journal)
        used += layout.segments()
        for number in layout.segments():
            journal.drop(number)
    assert used == sorted(set(used))
    assert used[0] == committed + 1


def test_a_killed_process_has_used_its_number(layout: JournalLayout, open_journal: Open) -> None:
    journal = open_journal()
    journal.intake(origin()).put(b"one")
    eventually(lambda: journal.acknowledged == 1)
    assert b'"next":1' in layout.identity.read_bytes()


@pytest.mark.parametrize("data", [b"", b"{", b"{}", b"\xff", b'{"listener":1,"lake":"/lake"}'])
def test_a_damaged_identity_is_told(layout: JournalLayout, open_journal: Open, data: bytes) -> None:
    end(open_journal())
    layout.identity.write_bytes(data)
    with pytest.raises(CorruptionError, match=r"listener\.id"):
        open_journal()


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="BEMTEVI_JOURNAL"):
        Journal(JournalLayout(tmp_path / "file", "x"), LAKE, LIMITS)


def test_the_reader_waits_when_the_disk_is_far_behind(
    layout: JournalLayout, open_journal: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bemtevi.listen.intake.BLOCK_BYTES", 2_000)
    monkeypatch.setattr("bemtevi.listen.intake.BUFFER_BYTES", 10_000)
    journal = open_journal(committed=None)  # its thread does not run yet: a disk that hangs
    intake = journal.intake(origin())
    done = 0

    def feed() -> None:
        nonlocal done
        for number in range(100):
            intake.put(b"%04d" % number + b"x" * 996)
            done = number + 1

    thread = threading.Thread(target=feed, daemon=True)
    thread.start()
    eventually(lambda: done == 11)  # the twelfth fills a block, and is more than the 10,000
    time.sleep(0.1)
    assert done == 11
    journal.start(-1)
    thread.join(60)
    assert done == 100
    journal.close()
    assert [int(payload[:4]) for _, payload in kept(layout)] == list(range(100))


def test_waiting_for_room_never_lasts_for_ever(
    layout: JournalLayout, open_journal: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bemtevi.listen.intake.BLOCK_BYTES", 0)
    monkeypatch.setattr("bemtevi.listen.intake.BUFFER_BYTES", 0)
    monkeypatch.setattr(
        "bemtevi.listen.open_segment.os.fdatasync", lambda _: None
    )  # as many turns as there can be
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        journal = open_journal(limits=Limits(NEVER, LARGE, NEVER))
        intake = journal.intake(origin())

        def feed() -> None:
            for _ in range(3_000):
                intake.put(b"x")

        thread = threading.Thread(target=feed, daemon=True)
        thread.start()
        thread.join(20)
        assert not thread.is_alive()
    finally:
        sys.setswitchinterval(before)
    journal.close()
    assert len(kept(layout)) == 3_000


def test_a_journal_that_ended_takes_no_more(layout: JournalLayout, open_journal: Open) -> None:
    journal = open_journal()
    intake = journal.intake(origin())
    journal.close()
    for late in (intake, journal.intake(origin("late"))):
        with pytest.raises(StorageError):
            late.put(b"one")


def test_a_bug_in_the_thread_is_told_and_nobody_waits(layout: JournalLayout, open_journal: Open) -> None:
    journal = open_journal()
    journal.check()
    intake = journal.intake(origin())
    with capture_logs() as logs:
        intake.put([1])  # type: ignore[arg-type]
        eventually(lambda: journal.failure is not None and intake.broken)
    assert [entry["event"] for entry in logs] == ["journal.failed"]
    with pytest.raises(TypeError):
        journal.check()
    with pytest.raises(StorageError):
        intake.put(b"one")


DISK_FULL = """
import resource, sys, time
from pathlib import Path
from bemtevi.errors import StorageError
from bemtevi.lake.layout import JournalLayout
from bemtevi.listen.journal import Journal, Limits
from bemtevi.listen.message import Origin
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
journal = Journal(JournalLayout(Path(sys.argv[1]), "x"), "/lake", Limits(0.001, 1 << 30, 3600))
journal.start(-1)
intake = journal.intake(Origin("x", "host", "stream", "s"))
for number in range(10_000):
    try:
        intake.put(b"%d" % number + b"x" * 1000)
    except StorageError:
        print("refused", number < 9_999)
        break
    time.sleep(0.0005)
acknowledged = journal.acknowledged
journal.close()
try:
    journal.check()
except StorageError as error:
    print("told", error)
print(acknowledged)
"""


def test_a_disk_that_fails_is_told_and_what_was_acknowledged_is_kept(
    layout: JournalLayout, open_journal: Open
) -> None:
    run = subprocess.run(
        [sys.executable, "-c", DISK_FULL, str(layout.root)], capture_output=True, text=True, check=True
    )
    refused, told, acknowledged = run.stdout.splitlines()[-3:]
    assert refused == "refused True"
    assert told.startswith("told The journal") and "what was acknowledged is kept" in told
    assert int(acknowledged) > 10
    with capture_logs():
        open_journal(committed=None)
    assert len(kept(layout)) >= int(acknowledged)
    assert [sequence for sequence, _ in kept(layout)] == list(range(len(kept(layout))))
