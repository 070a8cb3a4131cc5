"""When the disk is told to be scarce, full, and usable again."""

from __future__ import annotations

from pathlib import Path

from structlog.testing import capture_logs

from bemtevi.listen.space import Space

RESERVE = 100


def test_low_full_and_room_again_are_each_told_once() -> None:
    free = [0]
    space = Space(Path("journal"), RESERVE, lambda _: free[0])
    told: list[tuple[int, bool, list[str]]] = []
    for now in (500, 201, 199, 150, 99, 20, 99, 110, 124, 125, 150, 300, 199):
        free[0] = now
        with capture_logs() as logs:
            space.look()
        told.append((now, space.full, [entry["event"].removeprefix("journal.disk_") for entry in logs]))
    assert told == [
        (500, False, []),
        (201, False, []),
        (199, False, ["low"]),
        (150, False, []),
        (99, True, ["full"]),
        (20, True, []),
        (99, True, []),
        (110, True, []),  # else it would stop and go on all the time
        (124, True, []),
        (125, False, ["has_room"]),
        (150, False, []),
        (300, False, []),
        (199, False, ["low"]),
    ]


def test_without_a_reserve_only_a_failed_write_says_full() -> None:
    space = Space(Path("journal"), 0, lambda _: 0)
    space.look()
    assert not space.full
    space.failed()
    space.look()
    assert space.full
    space.wrote()
    space.look()
    assert not space.full
