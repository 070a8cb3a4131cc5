"""A simulated X that does wrong, a listener that has to bear it, and the account at the end.

Owns the course of a fault test: listen, let the faults fire, see from the record that they did, let the
listener recover, pause the posts, stop, and compare. Everything is real but the lengths of waits.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from tests.faults.account import Account, account
from tests.support import eventually

from bemtevi.cli.collect import network_of, search_of
from bemtevi.lake.gap import DONE, GAP, Cause, Gap, read_gaps
from bemtevi.lake.lake import Lake
from bemtevi.lake.track import change_rules
from bemtevi.listen.listener import Listener
from bemtevi.settings import Settings, load_settings
from bemtevi.simulate import Recorded, RunningX, Simulation, fault_of_flag, read_record, running_x

PATIENCE = 30.0
STOP_SECONDS = 2.0
SILENCE_SECONDS = 1.5
RATE = 400.0
ACCOUNTS: list[tuple[str, Account]] = []
"""What each test ended with, for the table."""


def dealt_with(gap: Gap, *, filling: bool) -> bool:
    """Whether nothing more is to be done about a gap."""
    return gap.ended_at is not None and (not filling or gap.state in DONE)


class Scene:
    """One server, one listener and one lake."""

    def __init__(
        self,
        folder: Path,
        server: RunningX,
        record: Path,
        *rules: str,
        url: str | None,
        reserve: int,
        fill: bool,
        lake: str | None = None,
    ) -> None:
        self.folder = folder
        self.place = lake or str(folder / "lake")
        self.server = server
        self.record = record
        self.url = url or server.url
        self.fills = fill
        self.settings = self._settings(journal_reserve_bytes=reserve)
        self.lake = Lake.of(self.settings)
        self.began = datetime.now(UTC)
        change_rules(self.lake, "x", add=rules, now=self.began)
        self.listener: Listener | None = None
        self.failure: BaseException | None = None
        self.finished: datetime | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def _settings(self, **more: Any) -> Settings:
        return load_settings(
            lake=self.place,
            journal=self.folder / "journal",
            fsync_seconds=0.02,
            segment_seconds=0.3,
            x_api_url=self.url,
            x_bearer_token="any",  # noqa: S106
            silence_seconds=SILENCE_SECONDS,
            fill_delay_seconds=2.0,
            **more,
        )

    # the listener

    def listen(self) -> None:
        """Start it, in the background."""
        self._stop.clear()
        self.failure = None
        search = search_of(self.settings) if self.fills else None
        self.listener = Listener(self.settings, self.lake, network_of(self.settings), search=search)
        self._thread = threading.Thread(target=self._run, name="scene", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        assert self.listener is not None
        try:
            self.listener.run(self._stop)
        except BaseException as error:  # noqa: BLE001  the test looks at it
            self.failure = error

    @property
    def ended(self) -> bool:
        """Whether the listener has ended by itself or was stopped."""
        return self._thread is None or not self._thread.is_alive()

    def stop(self) -> float:
        """Stop it; seconds that it took."""
        started = time.monotonic()
        if self._thread is not None:
            self._stop.set()
            self._thread.join(PATIENCE)
            assert not self._thread.is_alive(), "the listener does not stop"
            self._thread = None
        return time.monotonic() - started

    @property
    def acknowledged(self) -> int:
        """Messages that the listener has made durable."""
        return 0 if self.listener is None else self.listener.acknowledged

    def hears(self, more: int = 100) -> None:
        """Wait until so many more messages are durable."""
        wanted = self.acknowledged + more
        eventually(lambda: self.acknowledged >= wanted or self.ended, f"{more} more messages are durable")
        assert not self.ended, f"the listener has ended: {self.failure!r}"

    def told(self, cause: Cause) -> bool:
        """Whether the ledger ever told this cause, also if the gap lasted longer for another."""
        return str(cause) in self.lake.table(GAP).read()["cause"].to_pylist()

    # the server

    def fault(self, text: str) -> None:
        """Arm a fault, written as a flag."""
        fault = fault_of_flag(text)
        body = {"fault": fault.kind, "times": fault.times, "apart": fault.apart, **fault.parameters}
        body |= {"after_posts": fault.after_posts, "after_seconds": fault.after_seconds}
        self._control("fault", json=body | {"after_connects": fault.after_connects})

    def fired(self, kind: str, times: int = 1) -> None:
        """Wait until the record tells that a fault fired so often."""
        eventually(lambda: len(self.recorded().fired(kind)) >= times, f"the fault {kind} fired {times} times")

    def recorded(self) -> Recorded:
        """The record so far."""
        return read_record(self.record)

    def pause(self) -> None:
        """No more posts."""
        self._control("pause")

    def calm(self) -> None:
        """No more faults."""
        self._control("calm")

    def _control(self, name: str, **more: Any) -> None:
        answer = requests.post(f"{self.server.url}/simulation/{name}", timeout=PATIENCE, **more)
        assert answer.ok, answer.text

    # the end

    def drained(self) -> None:
        """Wait until all that was delivered is durable, and every gap has ended."""
        eventually(
            lambda: not any(connection.queue for connection in list(self.server.world.connections.values())),
            "all that waits at the server is sent",
        )
        before = -1
        while before != self.acknowledged:
            before = self.acknowledged
            time.sleep(0.25)
        self.settled()
        eventually(lambda: not self._waiting(), "all that is durable is in layer 1")

    def _waiting(self) -> list[Path]:
        """Segments of the journal."""
        return [path for kind in ("segment", "open") for path in (self.folder / "journal").rglob(f"*.{kind}")]

    def settled(self) -> None:
        """Wait until every gap has ended and, if gaps are filled here, is dealt with."""
        eventually(
            lambda: all(dealt_with(gap, filling=self.fills) for gap in read_gaps(self.lake)),
            "every gap is dealt with",
        )

    def finish(self) -> Account:
        """Pause, drain, stop; the account."""
        self.pause()
        if not self.ended:
            self.drained()
            self.finished = datetime.now(UTC)
            took = self.stop()
            assert took < STOP_SECONDS, f"it took {took:.2f} s to stop"
            assert self.failure is None, self.failure
        return self.account()

    def account(self) -> Account:
        """The account, which must balance."""
        made = account(self.lake, self.record, since=self.began)
        name = os.environ.get("PYTEST_CURRENT_TEST", "").partition("::")[2].removeprefix("test_")
        ACCOUNTS.append((name.removesuffix(" (call)"), made))
        assert made.balanced, "\n" + made.table()
        return made


@contextlib.contextmanager
def scene(
    folder: Path,
    *,
    rules: tuple[str, ...] = ("#a",),
    url: Callable[[RunningX], str] | None = None,
    listen: bool = True,
    reserve: int = 0,
    fill: bool = False,
    lake: str | None = None,
    **simulation: Any,
) -> Iterator[Scene]:
    """A scene in which the listener listens, and hears posts. `lake`: another place for it."""
    record = folder / "record.jsonl"
    given: dict[str, Any] = {"rate": RATE, "pool": 300, "topics": ("a", "b"), "focus": 1.0, "seed": 5}
    given |= {"search_delay": 0, "keep_alive": 0.3, "record": record}
    with running_x(Simulation(**{**given, **simulation})) as server:
        one = Scene(
            folder,
            server,
            record,
            *rules,
            url=url(server) if url else None,
            reserve=reserve,
            fill=fill,
            lake=lake,
        )
        try:
            if listen:
                one.listen()
                one.hears()
            yield one
        finally:
            one.stop()
