"""Searches that bring a period, page by page, into layer 1, each page once, whatever is killed and whenever.

Owns how far a search has come. A page is durable in the journal first, then the place after it is kept; who
finds a place that is behind the journal asks for the page again and does not store it again. Leaves to
`x_search` how a network is asked, to `fill` why.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import msgspec
import pyarrow.compute as pc
import structlog

from bemtevi import crashpoint
from bemtevi.errors import CorruptionError, StorageError
from bemtevi.lake.durable import replace_file
from bemtevi.lake.lake import Lake
from bemtevi.lake.layout import JournalLayout, journals
from bemtevi.lake.raw import RAW
from bemtevi.listen import segment
from bemtevi.listen.journal import Journal, Limits
from bemtevi.listen.message import Origin, Shaped, committed
from bemtevi.listen.writer import Writer
from bemtevi.listen.x_query import UnsearchableError
from bemtevi.listen.x_search import Page
from bemtevi.settings import Settings

log = structlog.get_logger()

DURABLE_SECONDS = 30.0


class Search(Protocol):
    """A network's search."""

    name: str
    missing_kinds: tuple[str, ...]
    posts_a_page: int

    def origin(self, session: str, tags: tuple[str, ...]) -> Origin:
        """Where pages come from."""
        ...

    def queries(self, rule: str) -> list[str]:
        """What to ask for a rule. Raises UnsearchableError."""
        ...

    def bind(self, stop: threading.Event) -> None:
        """From now on, who waits for the network stops when `stop` is set."""
        ...

    def oldest(self) -> datetime | None:
        """What is older cannot be asked; None: everything can."""
        ...

    def page(
        self,
        query: str,
        start: datetime,
        end: datetime,
        next_token: str | None = None,
        since_id: str | None = None,
    ) -> Page:
        """One page, newest post first."""
        ...

    def count(self, query: str, start: datetime, end: datetime) -> int:
        """How many posts the network counts."""
        ...


class Ask(msgspec.Struct):
    """One query, and how far it has come."""

    tags: tuple[str, ...]
    query: str
    session: str
    pages: int = 0
    next_token: str | None = None
    posts: int = 0
    newest_id: str | None = None
    since_id: str | None = None
    """Only posts that are newer; then the beginning of the period does not matter."""
    read: bool = False
    """All pages are there."""
    expected: int | None = None


class Asking(msgspec.Struct):
    """A period of some rules. `refused` tells why a rule, by its tag, cannot be asked."""

    name: str
    begun_at: datetime
    start: datetime
    end: datetime
    asks: list[Ask]
    refused: dict[str, str] = {}
    gaps: list[str] = []
    """The gaps that it fills, by their ids."""
    counted: bool = True
    """Whether the network is asked how many posts there are."""

    @property
    def posts(self) -> int:
        """Posts that came so far, once a query."""
        return sum(ask.posts for ask in self.asks)

    @property
    def expected(self) -> int | None:
        """Posts that the network counts, once a query."""
        counts = [ask.expected for ask in self.asks if ask.expected is not None]
        return sum(counts) if counts else None


def new_asking(
    search: Search,
    rules: Iterable[tuple[str, tuple[str, ...]]],
    start: datetime,
    end: datetime,
    now: datetime,
    gaps: Iterable[str] = (),
) -> Asking:
    """What to ask for some rules (value, tags) in [start, end). The same call gives the same name."""
    listed = list(gaps)
    chosen = list(rules)
    about = "\x1f".join([start.isoformat(), end.isoformat(), *listed, *(value for value, _ in chosen)])
    name = hashlib.sha256(about.encode()).hexdigest()[:16]
    asking = Asking(name, now, start, end, [], gaps=listed)
    for value, tags in chosen:
        try:
            found = search.queries(value)
        except UnsearchableError as error:
            asking.refused[tags[0] if tags else value] = str(error)
            continue
        for query in found:
            session = hashlib.sha256(f"{name}\x1f{value}\x1f{query}".encode()).hexdigest()[:32]
            asking.asks.append(Ask(tags, query, session))
    return asking


class Desk:
    """The journal of searches, and the places of those that are not done. Use as a context manager.

    Raises ConflictError if another process of this machine searches.
    """

    def __init__(
        self,
        settings: Settings,
        lake: Lake,
        network: str,
        journal: str | None = None,
        wrote: Callable[[int, Shaped], None] | None = None,
    ) -> None:
        """With a listener's `journal` the caller begins and ends it, with the writer in its own thread."""
        self._lake = lake
        self._root: Path = settings.journal
        self.layout = JournalLayout(settings.journal, journal or f"{network}-search")
        self._writes = journal is None
        self.journal = Journal(
            self.layout,
            lake.layout.table(1, ""),
            Limits.of(settings),
        )
        self.writer = Writer(lake, self.journal, wrote)

    def __enter__(self) -> Self:
        try:
            self.journal.start(committed(self._lake, self.journal.listener))
        except BaseException:
            self.journal.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.journal.close()
        try:
            with suppress(StorageError):  # the lake is away: what is sealed waits for the next time
                self.writer.write_sealed()
        finally:
            self.journal.release()

    @property
    def listener(self) -> str:
        """The id of this journal."""
        return self.journal.listener

    def open(self) -> list[Asking]:
        """What was begun and is not done. Raises CorruptionError."""
        found = []
        for path in sorted(self.layout.folder.glob(self.layout.asking("*").name)):
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=Asking))
            except (msgspec.DecodeError, UnicodeDecodeError):
                raise CorruptionError(
                    f"The file {path} does not read back: move it away, and the search begins again."
                ) from None
        return sorted(found, key=lambda asking: asking.begun_at)

    def keep(self, asking: Asking) -> None:
        """Keep the place. Raises OSError."""
        replace_file(self.layout.asking(asking.name), msgspec.json.encode(asking), durable=False)

    def done(self, asking: Asking) -> None:
        """Forget it."""
        self.layout.asking(asking.name).unlink(missing_ok=True)

    def run(self, asking: Asking, search: Search, shown: Callable[[Ask, Page], None] | None = None) -> None:
        """Bring all of it, from where it stands; `shown` is told each page.

        Raises as `Search.page`, and StorageError. What was brought until then stays; it goes on from there.
        """
        begun = self.layout.asking(asking.name).exists()
        self.keep(asking)
        for ask in asking.asks:
            stored = self._stored(ask, asking.begun_at) if begun and not ask.read else 0
            while not ask.read:
                page = search.page(ask.query, asking.start, asking.end, ask.next_token, ask.since_id)
                if ask.pages >= stored:
                    self._put(search.origin(ask.session, ask.tags), ask.pages, page.body)
                crashpoint.reach("search.page_durable")
                ask.pages += 1
                ask.posts += page.posts
                ask.newest_id = ask.newest_id or page.newest_id
                ask.next_token = page.next_token
                ask.read = page.next_token is None
                self.keep(asking)
                crashpoint.reach("search.place_kept")
                if shown is not None:
                    shown(ask, page)
                if self._writes and self.journal.sealed.is_set():
                    self.journal.sealed.clear()
                    self.writer.write_sealed()
            if asking.counted and ask.expected is None:
                ask.expected = search.count(ask.query, asking.start, asking.end)
                self.keep(asking)

    def _put(self, origin: Origin, sequence: int, body: bytes) -> None:
        """One page into the journal; it is durable when this returns."""
        intake = self.journal.intake(origin, sequence)
        put_at = time.time_ns()
        intake.put(body)
        intake.closed = True
        until = time.monotonic() + DURABLE_SECONDS
        while self.journal.durable_until <= put_at:
            self.journal.check()
            if time.monotonic() > until:
                raise StorageError(f"The journal {self.layout.folder} does not get a page to the disk.")
            time.sleep(0.002)

    def _stored(self, ask: Ask, since: datetime) -> int:
        """How many pages of a query are durable, wherever they are. Journals first: layer 1 has the rest."""
        most = -1
        for layout in journals(self._root):
            for number in layout.segments():
                with suppress(FileNotFoundError):  # written meanwhile
                    for block in segment.decode(layout.segment(number)):
                        if block.origin.session == ask.session:
                            most = max(most, *block.sequences)
        where = f"received_date >= '{since:%Y-%m-%d}' and session = '{ask.session}'"
        for batch in self._lake.table(RAW).scan(["session", "sequence"], where):
            mine = batch.filter(pc.equal(batch["session"], ask.session))
            most = max([most, *mine["sequence"].to_pylist()])
        return most + 1
