"""Erasing from the journals of this machine: segments rewritten without what is gone.

Owns which segments hold it, and that a segment is replaced whole. A journal that somebody writes is left
alone: its segments are in layer 1 within seconds. Leaves to who calls what leaves a message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from bemtevi import crashpoint
from bemtevi.lake.durable import replace_file
from bemtevi.lake.layout import journals
from bemtevi.listen import segment
from bemtevi.listen.message import Messages

NUMBER = re.compile(rb"[0-9]+")

Change = Callable[[bytes], bytes | None]


def erase(root: Path, ids: Collection[str], change: Change) -> list[str]:
    """Take what is gone out of every sealed segment; what has to wait, as sentences."""
    wanted = {id_.encode() for id_ in ids}
    waits = []
    for layout in journals(root):
        sealed = [path for path in map(layout.segment, layout.segments()) if _holds(path, wanted)]
        begun = [path for path in layout.open_segments() if _holds(path, wanted)]
        if not sealed and not begun:
            continue
        lock = FileLock(layout.lock, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            waits.append(f"the journal {layout.folder} holds what is deleted until it is written to layer 1")
            continue
        try:
            for path in sealed:
                _rewrite(path, wanted, change)
        finally:
            lock.release()
        if begun:
            waits.append(f"the journal {layout.folder} ended in the middle: `bemtevi listen` takes it up")
    return waits


def _holds(path: Path, wanted: set[bytes]) -> bool:
    try:
        data = path.read_bytes()
    except FileNotFoundError:  # written to layer 1 meanwhile
        return False
    return not wanted.isdisjoint(NUMBER.findall(data))


def _rewrite(path: Path, wanted: set[bytes], change: Change) -> None:
    blocks = [segment.encode(left) for block in segment.decode(path) for left in _left(block, wanted, change)]
    crashpoint.reach("journal.erasing")
    replace_file(path, b"".join(blocks), durable=True)
    crashpoint.reach("journal.erased")


def _left(block: Messages, wanted: set[bytes], change: Change) -> Iterator[Messages]:
    """What stays of a block: messages that follow one another, as a block has them."""
    payloads: list[bytes] = []
    indexes: list[int] = []
    for index, payload in enumerate(block.payloads):
        left = payload if wanted.isdisjoint(NUMBER.findall(payload)) else change(payload)
        if left is not None:
            payloads.append(left)
            indexes.append(index)
            continue
        if payloads:
            yield _some(block, payloads, indexes)
        payloads, indexes = [], []
    if payloads:
        yield _some(block, payloads, indexes)


def _some(block: Messages, payloads: list[bytes], indexes: list[int]) -> Messages:
    return Messages(
        block.origin,
        payloads,
        [block.received_at[index] for index in indexes],
        [block.sequences[index] for index in indexes],
    )
