"""A store that cuts, delays, refuses and loses answers, before a real S3 server: the invariants hold."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.faults.scene import scene
from tests.s3.conftest import lake_at, until_it_works
from tests.s3.proxy import CALM, FAULTS, Fate, FaultProxy, fault_proxy
from tests.s3.server import S3Server
from tests.support import eventually

from bemtevi.errors import StorageError
from bemtevi.lake.layout import JournalLayout
from bemtevi.lake.raw import QUARANTINE, RAW
from bemtevi.listen import segment
from bemtevi.listen.journal import Journal, Limits
from bemtevi.listen.message import Messages, Origin
from bemtevi.listen.writer import Writer

ORIGIN = Origin("x", "host", "stream", "s")
SEGMENTS = 30
EACH = 20


@pytest.mark.parametrize("fault", [*FAULTS, "all"])
def test_every_acknowledged_message_is_in_layer_1_once(
    bucket: str, s3_server: S3Server, proxy: FaultProxy, tmp_path: Path, fault: str
) -> None:
    journal = Journal(JournalLayout(tmp_path / "journal", "x"), "/lake", Limits(0.01, 1 << 20, 3600))
    journal.start(-1)
    faults = FAULTS if fault == "all" else (fault,)
    proxy.set(Fate(0.2, faults, seed=7))
    try:
        for number in range(SEGMENTS):
            sequences = range(EACH * number, EACH * number + EACH)
            lines = [b'{"data":{"id":"%d","text":"a"}}' % sequence for sequence in sequences]
            lines[3] = b"not json"
            block = Messages(ORIGIN, lines, [1_795_541_216_000_000 + one for one in sequences], sequences)
            journal.layout.segment(number).write_bytes(segment.encode(block))
            if number % 10 == 9:  # now and then a new process
                lake = lake_at(bucket, s3_server.options(proxy.port), tmp_path)
                until_it_works(lambda lake=lake: Writer(lake, journal).write_sealed())  # type: ignore[misc]
    finally:
        journal.close()
        journal.release()
    assert {name for name, times in proxy.done.items() if times} == {*faults}
    assert journal.layout.segments() == []
    proxy.set(CALM)
    lake = lake_at(bucket, s3_server.options(), tmp_path)
    expected = [number for number in range(SEGMENTS * EACH) if number % EACH != 3]
    assert sorted(lake.table(RAW).read()["sequence"].to_pylist()) == expected
    assert lake.table(QUARANTINE).read().num_rows == SEGMENTS


def test_the_listener_outlives_faults_and_the_end_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account of every post, from the simulator's record."""
    monkeypatch.setattr("bemtevi.listen.writer.RETRY_SECONDS", (0.2,))
    monkeypatch.setattr("bemtevi.listen.ledger.RETRY_SECONDS", 0.3)
    server = S3Server(tmp_path / "s3")
    server.start()
    try:
        with fault_proxy(server.port) as proxy:
            for name, value in server.options(proxy.port).items():
                monkeypatch.setenv(name, value)
            with scene(tmp_path, lake=server.bucket("lake") + "/x") as one:
                proxy.set(Fate(0.2, seed=5))
                one.hears(300)
                server.kill()
                one.hears(300)
                server.start()
                one.hears(300)
                proxy.set(CALM)
                journal = tmp_path / "journal" / "x"
                eventually(lambda: len([*journal.glob("*.segment")]) < 3, "the journal is short again")
                made = one.finish()
            assert sum(proxy.done.values()) > 2
            assert made.balanced
    finally:
        server.kill()


def test_a_store_that_is_down_is_one_sentence_in_bounded_time(tmp_path: Path, s3_server: S3Server) -> None:
    lake = lake_at("s3://lake/x", s3_server.options(1), tmp_path)
    began = time.monotonic()
    with pytest.raises(StorageError, match="cannot be reached"):
        lake.table(RAW).version()
    assert time.monotonic() - began < 120
