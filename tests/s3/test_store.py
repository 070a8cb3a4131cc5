"""What is asked of a store before it holds a lake, and the lock that holds across machines."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock, Timeout
from tests.s3.conftest import lake_at
from tests.s3.proxy import Fate, FaultProxy
from tests.s3.server import S3Server
from tests.support import put

from bemtevi.errors import StorageError
from bemtevi.lake.lake import Lake
from bemtevi.lake.lease import Lease
from bemtevi.lake.object_store import ObjectStore
from bemtevi.lake.raw import RAW

POST = {"data": {"id": "2000000000000000000", "text": "#a"}}


def lease(store: ObjectStore, folder: Path, machine: str, seconds: float = 60) -> Lease:
    return Lease(store, "work", FileLock(folder / machine, thread_local=False), seconds)


@pytest.fixture
def store(bucket: str, s3_server: S3Server) -> ObjectStore:
    return ObjectStore(bucket, s3_server.options())


def test_a_store_that_loses_commits_is_refused_before_anything_is_written(
    bucket: str, s3_server: S3Server, proxy: FaultProxy, tmp_path: Path
) -> None:
    proxy.set(Fate(blind=True))
    lake = lake_at(bucket, s3_server.options(proxy.port), tmp_path)
    with pytest.raises(StorageError, match="ignores If-None-Match"):
        put(lake, [POST])
    assert ObjectStore(bucket, s3_server.options()).names("") == [], "nor is the probe left behind"


def test_it_is_used_by_who_promises_to_write_alone(
    bucket: str, s3_server: S3Server, proxy: FaultProxy, tmp_path: Path
) -> None:
    proxy.set(Fate(blind=True))
    options = s3_server.options(proxy.port)
    lake = Lake(lake_at(bucket, options, tmp_path).layout, "UTC", options, tmp_path, single_writer=True)
    put(lake, [POST])
    assert lake.table(RAW).read().num_rows == 1
    assert isinstance(lake.lock("consolidate"), FileLock)


def test_a_good_store_is_probed_once_and_keeps_nothing_of_it(lake: Lake, store: ObjectStore) -> None:
    put(lake, [POST])
    put(lake, [POST], number=1)
    assert not [name for name in store.names("") if "probe" in name]


@pytest.mark.parametrize(
    ("change", "said"),
    [({"AWS_SECRET_ACCESS_KEY": "wrong"}, "refuses us"), ({"AWS_ACCESS_KEY_ID": "nobody"}, "refuses us")],
)
def test_wrong_credentials_are_one_sentence(
    bucket: str, s3_server: S3Server, tmp_path: Path, change: dict[str, str], said: str
) -> None:
    lake = lake_at(bucket, s3_server.options() | change, tmp_path)
    with pytest.raises(StorageError, match=said) as raised:
        put(lake, [POST])
    assert "wrong" not in str(raised.value)


def test_a_bucket_that_is_not_there_is_one_sentence(s3_server: S3Server, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="There is no bucket"):
        put(lake_at("s3://nowhere/lake", s3_server.options(), tmp_path), [POST])


def test_only_one_holds_the_lock(store: ObjectStore, tmp_path: Path) -> None:
    here, there = (lease(store, tmp_path, name) for name in ("here", "there"))
    for _ in range(3):
        with here.acquire(), pytest.raises(Timeout):
            there.acquire()
        with there.acquire(timeout=5), pytest.raises(Timeout):
            here.acquire()
    assert len(store.names("locks/work")) == 1, "one object is left, which says that it is free"


def test_of_many_at_once_one_gets_it(store: ObjectStore, tmp_path: Path) -> None:
    held: list[Lease] = []
    start = threading.Barrier(8)

    def take(number: int) -> None:
        one = lease(store, tmp_path, f"machine-{number}")
        start.wait()
        with contextlib.suppress(Timeout):
            held.append(one.acquire())

    threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(held) == 1
    held[0].release()


def test_the_lock_of_a_holder_that_died_is_passed_on(store: ObjectStore, tmp_path: Path) -> None:
    dead = lease(store, tmp_path, "dead", seconds=2)
    dead.acquire()
    dead._stop.set()  # it says nothing any more
    other = lease(store, tmp_path, "other", seconds=2)
    began = time.monotonic()
    with pytest.raises(Timeout):
        other.acquire()
    with other.acquire(timeout=15):
        assert time.monotonic() - began > 1


def test_a_holder_that_lives_keeps_it_beyond_the_lease(store: ObjectStore, tmp_path: Path) -> None:
    with lease(store, tmp_path, "here", seconds=2).acquire():
        time.sleep(4)
        with pytest.raises(Timeout):
            lease(store, tmp_path, "there", seconds=2).acquire()


def test_a_lost_answer_to_the_put_that_takes_it_is_no_loss(
    bucket: str, s3_server: S3Server, proxy: FaultProxy, tmp_path: Path
) -> None:
    proxy.set(Fate(1, ("lost_answer",), conditional=True))
    one = lease(ObjectStore(bucket, s3_server.options(proxy.port)), tmp_path, "here")
    with one.acquire():
        assert proxy.done["lost_answer"] >= 1
