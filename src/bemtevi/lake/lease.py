"""A lock that holds across machines: an object of the store, kept fresh by its holder.

Owns who may work. Correctness does not rest on it (whoever was paused for longer than the lease and wakes is
refused by the commit itself, see `table` and `warehouse.run`); it keeps two from doing the same work twice.

A name has numbered objects; the highest tells who holds it. To take it is to create the next number, which
only one can. A holder puts its object again and again; one that is not fresh by the server's own clock is
passed over. So no clocks need to agree, and no more is asked of the store than `If-None-Match: *`.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from types import TracebackType

import structlog
from filelock import FileLock, Timeout

from bemtevi.errors import StorageError
from bemtevi.lake.object_store import ObjectStore

log = structlog.get_logger()

LEASE_SECONDS = 60.0
POLL_SECONDS = 1.0


class Lease:
    """One lock of a lake in an object store, and the same on this machine. Not for two threads at once."""

    def __init__(
        self, store: ObjectStore, name: str, local: FileLock, seconds: float = LEASE_SECONDS
    ) -> None:
        """`seconds`: so long a holder that says nothing keeps it."""
        self._store = store
        self._folder = f"locks/{name}"
        self._local = local
        self._seconds = seconds
        self._number = 0
        self._stop = threading.Event()
        self._refresher: threading.Thread | None = None

    @property
    def lock_file(self) -> str:
        """Where it is held, for a person."""
        return f"{self._store.root}/{self._folder}"

    def acquire(self, timeout: float = 0) -> Lease:
        """Take it within so many seconds. Raises filelock.Timeout, StorageError."""
        deadline = time.monotonic() + timeout
        self._local.acquire(timeout=timeout)
        try:
            while not self._take():
                if time.monotonic() >= deadline:
                    raise Timeout(self.lock_file)  # noqa: TRY301  the local one goes too
                time.sleep(min(POLL_SECONDS, max(deadline - time.monotonic(), 0.05)))
        except BaseException:
            self._local.release()
            raise
        self._stop = threading.Event()
        self._refresher = threading.Thread(
            target=self._refresh, args=(self._stop,), name="lease", daemon=True
        )
        self._refresher.start()
        return self

    def release(self) -> None:
        """Give it back. A store that is away keeps it until the lease is over."""
        if self._refresher is None:
            return
        self._stop.set()
        self._refresher.join()
        self._refresher = None
        try:
            self._store.put(self._object(self._number), self._told("released"))
            old = [name for name in self._store.names(self._folder) if self._number_of(name) < self._number]
            self._store.delete(*old)
        except StorageError as error:
            log.warning("lease.not_released", lock=self.lock_file, error=str(error))
        finally:
            self._local.release()

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _take(self) -> bool:
        names = self._store.names(self._folder)
        number = max(map(self._number_of, names), default=0)
        if number and not self._free(number):
            return False
        mine = self._told("held")
        try:
            created = self._store.create(self._object(number + 1), mine)
        except StorageError:
            created = False  # who knows whether it went well and the answer was lost
        if not created:
            found = self._store.get(self._object(number + 1))
            if found is None or found[0] != mine:
                return False
        self._number = number + 1
        return True

    def _free(self, number: int) -> bool:
        found = self._store.get(self._object(number))
        if found is None:
            return False  # somebody tidied up: look again
        told, put_at = found
        if json.loads(told)["state"] == "released":
            return True
        name = f"{self._folder}/.clock-{uuid.uuid4()}"
        self._store.put(name, b"")
        now = self._store.get(name)
        self._store.delete(name)
        return now is not None and (now[1] - put_at).total_seconds() > self._seconds

    def _refresh(self, stop: threading.Event) -> None:
        """Say that we live, several times in a lease."""
        while not stop.wait(self._seconds / 4):
            try:
                self._store.put(self._object(self._number), self._told("held"))
                if self._number < max(map(self._number_of, self._store.names(self._folder))):
                    log.warning("lease.lost", lock=self.lock_file)  # the commit will be refused
                    return
            except StorageError as error:
                log.warning("lease.not_refreshed", lock=self.lock_file, error=str(error))

    def _object(self, number: int) -> str:
        return f"{self._folder}/{number:012d}.json"

    @staticmethod
    def _number_of(name: str) -> int:
        stem = name.rsplit("/", 1)[-1].removesuffix(".json")
        return int(stem) if stem.isdigit() else 0

    def _told(self, state: str) -> bytes:
        if not hasattr(self, "_holder"):
            self._holder = str(uuid.uuid4())
        holder = {"host": socket.gethostname(), "process": os.getpid(), "id": self._holder}
        return json.dumps({"state": state, **holder}).encode()
