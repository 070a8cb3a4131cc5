"""Archive files into layer 1: every message verbatim, each file once.

Owns the import: a file is known by the hash of its bytes, checked whole before anything is written, and
written in batches that carry how far they reach, so that an interrupted import goes on where it stopped and
a repeated one adds nothing. Leaves to `unpack` the packing, to `split` the splitting, to `dialects` the
meaning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from bemtevi.errors import UsageError
from bemtevi.lake.lake import Lake, acquire
from bemtevi.lake.raw import RAW
from bemtevi.listen.dialects import EnvelopeReader
from bemtevi.listen.message import Count, Messages, Origin, commit, committed, shape
from bemtevi.listen.split import NoMessagesError, split
from bemtevi.listen.unpack import Advance, CutError, ignore, members, printable

BATCH_BYTES = 64 * 1024 * 1024
BATCH_MESSAGES = 50_000
COMPLETE = ":complete"


@dataclass
class Report:
    """What became of one file."""

    path: Path
    count: Count = field(default_factory=Count)
    posts: int = 0
    distinct_posts: int = 0
    known_before: int = 0
    """Messages that an earlier import of the same bytes had written."""
    skipped: list[str] = field(default_factory=list)
    """Files inside that hold no JSON."""


def check(path: Path, advance: Advance) -> str:
    """The hash of a file's bytes, after reading it whole to its inmost member.

    Raises UsageError for a file that cannot be read or is damaged: nothing of it has been written then.
    """
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is no file that can be read twice, as an import must: save it as one.")
    digest = hashlib.sha256()
    try:
        for _, chunks in members(path, advance, digest.update):
            for _ in chunks:
                pass
    except OSError as error:
        raise UsageError(f"The file {path} cannot be read: {error.strerror or error}.") from None
    except CutError as error:
        raise UsageError(
            f"The file {path} is not whole: {error}. Nothing of it was imported; get it again."
        ) from None
    return digest.hexdigest()


def import_file(
    lake: Lake, path: Path, digest: str, clock: Callable[[], int], advance: Advance = ignore
) -> Report:
    """Put every message of a checked file into layer 1; `clock` gives nanoseconds since 1970.

    Raises UsageError if the file holds no messages, StorageError or ConflictError from the lake.
    """
    application = f"import:{digest}"
    report = Report(path)
    with acquire(lake.lock(f"import-{digest[:16]}"), f"importing {path}"):
        if lake.table(RAW).transaction(application + COMPLETE) is not None:
            report.known_before = lake.table(RAW).transaction(application) or 0
            return report
        done = committed(lake, application)
        post_ids: list[str] = []
        reader = EnvelopeReader()
        origin = Origin("x", printable(path.name), "archive", digest)
        for messages in _batches(path, origin, clock, advance, report):
            upto = messages.sequences[-1] + 1
            report.known_before = min(upto, max(done, 0))
            if upto <= done:
                continue
            messages = messages.after(done)
            shaped = shape([messages], reader)
            post_ids += shaped.count.post_ids
            shaped.count.post_ids.clear()
            report.count.add(shaped.count)
            commit(lake, shaped, (application, upto))
        total = report.count.messages + report.known_before
        if total == 0:
            raise UsageError(
                f"The file {path} holds no posts: JSON of X's API v2 or v1.1 is expected, one message a line "
                "or in arrays."
            )
        lake.table(RAW).append(RAW.schema.empty_table(), (application + COMPLETE, total))
    report.posts = len(post_ids)
    report.distinct_posts = pc.count_distinct(pa.array(post_ids, pa.string())).as_py() if post_ids else 0
    return report


def _batches(
    path: Path, origin: Origin, clock: Callable[[], int], advance: Advance, report: Report
) -> Iterator[Messages]:
    """The file's messages in batches, cut at the same places whenever the file is read."""
    payloads: list[bytes] = []
    places: list[str] = []
    size = 0
    first = 0
    for name, chunks in members(path, advance):
        inside = f"{name.split('!', 1)[1]} line" if "!" in name else "line"
        try:
            for line, payload in split(chunks):
                payloads.append(payload)
                places.append(f"{inside} {line}")
                size += len(payload)
                if size >= BATCH_BYTES or len(payloads) >= BATCH_MESSAGES:
                    yield _messages(origin, payloads, places, first, clock)
                    first += len(payloads)
                    payloads, places, size = [], [], 0
        except NoMessagesError:
            report.skipped.append(name)
            for _ in chunks:
                pass
    if payloads:
        yield _messages(origin, payloads, places, first, clock)


def _messages(
    origin: Origin, payloads: list[bytes], places: list[str], first: int, clock: Callable[[], int]
) -> Messages:
    now = clock() // 1000
    sequences = range(first, first + len(payloads))
    return Messages(origin, payloads, [now] * len(payloads), sequences, places)
