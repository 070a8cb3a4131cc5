"""Maintenance: fewer files, the same content, nothing lost of what others still need."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from tests.integration.command import Person
from tests.support import consolidate, contents, new_lake, post, put, rows

from bemtevi.errors import ConflictError, StorageError, UsageError
from bemtevi.lake.append import Appender
from bemtevi.lake.gap import GAP, Cause, new_gap, write_gaps
from bemtevi.lake.lake import LOCK, MERGE_LOCK, Lake, acquire
from bemtevi.lake.maintenance import OPEN_FILES, MaintainedTable
from bemtevi.lake.raw import FILES_BY, QUARANTINE, RAW
from bemtevi.lake.table import LOG_PROPERTIES
from bemtevi.serve.catalog import Catalog
from bemtevi.warehouse.maintain import Maintenance, Policy
from bemtevi.warehouse.model import load_models
from bemtevi.warehouse.run import RUN, all_runs, last_consolidation, last_run
from bemtevi.warehouse.upkeep import Upkeep
from bemtevi.warehouse.verify import compare, examine_tables

DAY = timedelta(days=1)
BEGIN = datetime(2026, 11, 24, 14, tzinfo=UTC)
"""When the first messages are received; their posts were written from 10:00 UTC on, 7:00 in São Paulo."""
AFTER = BEGIN + 3 * DAY
KEEP = Policy(versions_hours=6)
AT_ONCE = Policy(versions_hours=0)


def maintain(lake: Lake, policy: Policy = KEEP, now: datetime = AFTER) -> dict[str, Upkeep]:
    done = Maintenance(lake, policy, lambda: now, patience=0).run()
    return {upkeep.table: upkeep for upkeep in done}


def feed(lake: Lake, first: int, *, commits: int = 4, at: datetime = BEGIN, session: str = "test") -> None:
    """So many commits of three posts each, with one message that nobody can read; an hour apart."""
    for number in range(first, first + commits):
        lines: list[Any] = [post(number * 3_600 + second, f"#a #b{second}") for second in range(3)]
        put(lake, [*lines, b"{no json"], number=number, received_at=at, session=f"{session} {number}")


TEMPLATE: list[Path] = []


@pytest.fixture(autouse=True, scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Four commits and runs on each of two days; made once, for that takes longest."""
    TEMPLATE[:] = [tmp_path_factory.mktemp("template")]
    lake = new_lake(TEMPLATE[0])
    for number in range(4):
        feed(lake, number, commits=1)
        feed(lake, 10 + number, commits=1, at=BEGIN + DAY)
        consolidate(lake)


def a_lake(folder: Path) -> Lake:
    """A copy of the template."""
    shutil.copytree(TEMPLATE[0], folder, dirs_exist_ok=True)
    return new_lake(folder)


def files(lake: Lake, name: str) -> int:
    definitions = [RAW, QUARANTINE, GAP, RUN, *(model.definition for model in load_models())]
    (definition,) = [one for one in definitions if one.name == name]
    return len(MaintainedTable.of(lake, definition).data_files())


def on_disk(lake: Lake, table: str) -> int:
    return len(list(Path(lake.layout.root).glob(f"layer?/{table}/**/*.parquet"))) - len(
        list(Path(lake.layout.root).glob(f"layer?/{table}/_delta_log/*.parquet"))
    )


def raw_messages(lake: Lake) -> list[tuple[str, int, str]]:
    table = lake.table(RAW).read()
    return sorted(zip(*(table[name].to_pylist() for name in ("session", "sequence", "payload")), strict=True))


def age_log(lake: Lake, hours: float) -> None:
    """Make every entry of every log look so old."""
    at = time.time() - hours * 3600
    for path in Path(lake.layout.root).glob("layer?/*/_delta_log/*"):
        os.utime(path, (at, at))


def test_closed_days_become_one_file_each_and_nothing_else_changes(tmp_path: Path) -> None:
    lake = a_lake(tmp_path)
    before, raw = contents(lake), raw_messages(lake)
    assert files(lake, "raw") == 8
    done = maintain(lake)
    assert (done["raw"].files_before, done["raw"].files_after, done["raw"].compacted) == (8, 2, 2)
    assert files(lake, "quarantine") == 2
    for name in ("fact_post", "bridge_post_hashtag", "agg_hashtag_hour"):
        assert done[name].files_before > done[name].files_after == files(lake, name) == 1
    assert contents(lake) == before
    assert raw_messages(lake) == raw
    last = last_run(lake)
    assert last is not None
    assert (last.kind, last.number, last.messages) == ("maintenance", 5, 0)
    previous = last_consolidation(lake)
    assert previous is not None
    assert previous.number == 4
    again = maintain(lake)
    assert sum(upkeep.compacted for upkeep in again.values()) == 0
    assert len(all_runs(lake)) == 5


def test_consolidation_goes_on_after_maintenance_as_without(tmp_path: Path) -> None:
    one, other = a_lake(tmp_path / "one"), a_lake(tmp_path / "other")
    for turn in range(3):
        maintain(one, AT_ONCE)
        for lake in (one, other):
            # late, repeated and new ones
            feed(lake, turn, session=f"again {turn}", at=BEGIN + 2 * DAY)
            feed(lake, 20 + 5 * turn, session=f"new {turn}", at=BEGIN + turn * DAY)
            runs = consolidate(lake)
            assert [run.kind for run in runs] == ["incremental"]
    period = (datetime(2026, 11, 24, 10, tzinfo=UTC), datetime(2026, 11, 24, 20, tzinfo=UTC))
    assert maintain(one, AT_ONCE)["raw"].vacuumed_files > 0
    assert contents(one) == contents(other)
    for lake in (one, other):
        (run,) = consolidate(lake, period)
        assert run.posts_before == run.posts_after > 0
    assert contents(one) == contents(other)
    assert raw_messages(one) == raw_messages(other)


def test_a_day_that_is_not_closed_is_left_alone(tmp_path: Path) -> None:
    lake = a_lake(tmp_path)
    on_the_second_day = datetime(2026, 11, 25, 23, tzinfo=UTC)
    assert maintain(lake, now=on_the_second_day)["raw"].files_after == 5
    just_after = datetime(2026, 11, 26, 0, 30, tzinfo=UTC)
    assert maintain(lake, now=just_after)["raw"].files_after == 5
    assert maintain(lake, now=just_after + timedelta(hours=1))["raw"].files_after == 2


def test_an_open_day_with_many_small_files_is_compacted(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    for number in range(OPEN_FILES):
        put(lake, [post(number)], number=number, received_at=BEGIN)
    consolidate(lake)
    assert maintain(lake, now=BEGIN + timedelta(minutes=5))["raw"].files_after == 1
    assert len(raw_messages(lake)) == OPEN_FILES


def test_what_waits_for_consolidation_is_neither_compacted_nor_removed(tmp_path: Path) -> None:
    lake = a_lake(tmp_path)
    feed(lake, 30, commits=3)
    done = maintain(lake, Policy(0, raw_days=1))["raw"]
    assert done.files_after == 2 + 3
    assert "messages from before 2026-11-26 wait for consolidation" in done.remarks
    (run,) = consolidate(lake)
    assert run.observations == 9
    assert len(rows(lake, "select * from fact_post")) == 8 * 3 + 9
    never = new_lake(tmp_path / "never")
    feed(never, 0)
    assert maintain(never, Policy(0, raw_days=1))["raw"].files_after == 4
    assert consolidate(never)[0].observations == 12


def test_what_was_compacted_is_not_compacted_again_from_the_files_before(tmp_path: Path) -> None:
    lake = a_lake(tmp_path)
    feed(lake, 30, commits=2)
    maintain(lake, AT_ONCE)
    # the last run still stands before the compaction, for what is new came before it
    raw = raw_messages(lake)
    done = maintain(lake, AT_ONCE)["raw"]
    assert raw_messages(lake) == raw
    assert "waits for a consolidation since the last maintenance" in done.remarks
    period = (datetime(2026, 11, 24, 10, tzinfo=UTC), datetime(2026, 11, 24, 20, tzinfo=UTC))
    before = contents(lake)["fact_post"]
    runs = consolidate(lake, period)
    assert [run.observations for run in runs] == [6, 12]
    assert set(before) <= set(contents(lake)["fact_post"])


def test_a_reader_of_the_old_files_goes_on(tmp_path: Path) -> None:
    lake = a_lake(tmp_path)
    before = contents(lake)
    with Catalog(lake) as catalog:
        maintain(lake)
        maintain(lake)
        for name, table in before.items():
            assert catalog.query(f"select count(*) as n from {name}")["n"].to_pylist() == [len(table)]
        assert catalog.query("select count(payload) as n from raw")["n"].to_pylist() == [24]


def test_old_files_are_deleted_after_the_hours_that_are_set(tmp_path: Path) -> None:
    lake = a_lake(tmp_path)
    before = contents(lake)
    maintain(lake)
    assert on_disk(lake, "fact_post") > files(lake, "fact_post")
    assert maintain(lake)["fact_post"].vacuumed_files == 0
    done = maintain(lake, AT_ONCE)
    for name in ("raw", "quarantine", "fact_post", "user_observation"):
        assert done[name].vacuumed_files > 0
        assert done[name].vacuumed_bytes > 0
        assert on_disk(lake, name) == files(lake, name)
    assert contents(lake) == before
    assert maintain(lake, AT_ONCE)["fact_post"].vacuumed_files == 0


def test_files_that_the_last_run_still_names_stay(tmp_path: Path) -> None:
    lake = a_lake(tmp_path)
    named = lake.table(RAW).snapshot(all_runs(lake)[-1].raw_version).files
    maintain(lake, AT_ONCE)  # killed before its own run is written, that run would still be the last
    assert all(Path(file).exists() for file in named)


def test_files_that_a_killed_writer_left_are_deleted_but_no_young_ones(tmp_path: Path) -> None:
    lake = a_lake(tmp_path)
    folder = Path(lake.table(RAW).uri) / "received_date=2026-11-24"
    for name in ("old", "young"):
        (folder / f"{name}.parquet").write_bytes(b"cut short")
    at = time.time() - 7 * 3600
    os.utime(folder / "old.parquet", (at, at))
    assert maintain(lake)["raw"].vacuumed_files == 1
    assert [path.name for path in folder.glob("[oy]*.parquet")] == ["young.parquet"]


def test_versions_of_a_killed_run_do_not_make_vacuum_take_what_the_last_run_needs(tmp_path: Path) -> None:
    lake = a_lake(tmp_path)
    before = contents(lake)
    fact = next(model.definition for model in load_models() if model.name == "fact_post")
    lake.table(fact).replace("true", fact.schema.empty_table())  # ahead of the last run
    done = maintain(lake, AT_ONCE)
    assert done["fact_post"].vacuumed_files > 0
    assert contents(lake) == before
    assert last_run(lake).table_versions["fact_post"] == lake.table(fact).version()  # type: ignore[union-attr]


def test_the_log_becomes_short_and_forgets_no_transaction(tmp_path: Path) -> None:
    lake = a_lake(tmp_path)
    log = Path(lake.table(RAW).uri) / "_delta_log"
    before = contents(lake)
    maintain(lake, AT_ONCE)  # writes the first checkpoint
    put(lake, [post(100_000)], number=50, received_at=BEGIN + 2 * DAY)
    consolidate(lake)
    maintain(lake, AT_ONCE)
    assert len(list(log.glob("*.json"))) > 10
    age_log(lake, 2)
    maintain(lake, AT_ONCE)
    assert len(list(log.glob("*.json"))) <= 6
    assert lake.table(RAW).transaction("test") == 50
    assert lake.table(QUARANTINE).transaction("test 13") == 13
    assert set(before["fact_post"]) < set(contents(lake)["fact_post"])
    put(lake, [post(200_000)], number=51, received_at=BEGIN + 2 * DAY)
    assert [run.observations for run in consolidate(lake)] == [1]


def test_no_version_that_readers_may_still_see_is_lost_with_the_log(tmp_path: Path) -> None:
    lake = a_lake(tmp_path)
    runs = all_runs(lake)
    age_log(lake, 1_000)  # the library would find all of it old
    for _ in range(3):
        maintain(lake, KEEP, now=datetime.now(UTC))
    for run in runs:
        for model in load_models():
            lake.table(model.definition).snapshot(run.table_versions[model.name])
        lake.table(RAW).snapshot(run.raw_version)


def test_raw_log_reaches_back_to_what_waits_for_consolidation(tmp_path: Path) -> None:
    lake = a_lake(tmp_path)
    feed(lake, 30, commits=3)
    for number in range(120):  # the library writes a checkpoint, and would shorten the log
        put(lake, [post(number)], number=number, session="many", received_at=BEGIN + DAY)
    age_log(lake, 1_000)
    for _ in range(2):
        maintain(lake, AT_ONCE)
    assert sum(run.observations for run in consolidate(lake)) == 9 + 120


def test_a_lake_made_before_gets_the_properties_of_its_log(tmp_path: Path) -> None:
    lake = a_lake(tmp_path)
    uri = lake.table(RAW).uri
    DeltaTable(uri).alter.set_table_properties({"delta.enableExpiredLogCleanup": "true"})
    maintain(lake)
    kept = DeltaTable(uri).metadata().configuration
    assert LOG_PROPERTIES.items() <= kept.items()


def test_what_is_older_than_is_kept_goes(tmp_path: Path) -> None:
    lake = a_lake(tmp_path)
    maintain(lake)
    later = post(24 * 3_600, "#later")
    put(lake, [later], number=60, received_at=BEGIN + 2 * DAY)
    consolidate(lake)
    policy = Policy(6, raw_days=1, facts_days=2)
    planned = {upkeep.table: upkeep for upkeep in Maintenance(lake, policy, lambda: AFTER).plan()}
    whole = {name: contents(lake)[name] for name in ("dim_user", "dim_hashtag", "dim_date")}
    done = maintain(lake, policy)
    assert (done["raw"].removed_rows, done["raw"].removed_partitions) == (24, 2)
    assert (done["quarantine"].removed_rows, done["fact_post"].removed_rows) == (8, 24)
    for name in done:
        assert planned[name].removed_rows == done[name].removed_rows
    assert rows(lake, "select distinct received_date from raw") == [{"received_date": date(2026, 11, 26)}]
    assert [row["text"] for row in rows(lake, "select text from fact_post")] == ["#later"]
    assert {name: contents(lake)[name] for name in whole} == whole
    assert compare(lake, "1GB")[1].wrong == 0
    maintain(lake, Policy(0, raw_days=1, facts_days=2))
    assert on_disk(lake, "fact_post") == 1
    start = datetime(2026, 11, 24, 10, tzinfo=UTC)
    with pytest.raises(UsageError, match="--from 2026-11-26"):
        consolidate(lake, (start, start + DAY))
    put(lake, [post(50)], number=70, received_at=AFTER)
    assert [run.posts_after for run in consolidate(lake)] == [1]


def test_what_is_kept_for_ever_stays(tmp_path: Path) -> None:
    lake = a_lake(tmp_path)
    done = maintain(lake, now=BEGIN + 10_000 * DAY)
    assert sum(upkeep.removed_rows for upkeep in done.values()) == 0


def test_a_plan_changes_nothing_and_says_what_will_be_done(tmp_path: Path) -> None:
    lake = a_lake(tmp_path)
    everything = sorted(path for path in Path(lake.layout.root).rglob("*") if ".lock" not in path.name)
    planned = {upkeep.table: upkeep for upkeep in Maintenance(lake, AT_ONCE, lambda: AFTER).plan()}
    assert everything == sorted(
        path for path in Path(lake.layout.root).rglob("*") if ".lock" not in path.name
    )
    done = maintain(lake, AT_ONCE)
    assert planned.keys() == done.keys()
    del done["run"]  # has one row more
    for name, upkeep in done.items():
        assert (planned[name].compacted, planned[name].files_after) == (upkeep.compacted, upkeep.files_after)


def test_many_rows_of_the_gap_ledger_become_one_file(tmp_path: Path) -> None:
    lake = a_lake(tmp_path)
    for number in range(OPEN_FILES):
        at = BEGIN + number * DAY
        write_gaps(lake, [new_gap("x", Cause.STOPPED, at, listener="test", now=at)])
    assert maintain(lake)["gap"].files_after == 1
    assert len(rows(lake, "select * from gap")) == OPEN_FILES


def append(folder: str, commits: int) -> None:
    """In a process of its own: write as a listener does."""
    lake = new_lake(Path(folder))
    for number in range(commits):
        put(lake, [post(number), b"{no json"], number=number, session="other", received_at=BEGIN)


def test_a_writer_in_another_process_loses_and_doubles_nothing(tmp_path: Path) -> None:
    lake = a_lake(tmp_path)
    commits = 60
    process = multiprocessing.get_context("spawn").Process(target=append, args=(str(tmp_path), commits))
    process.start()
    compacted = turns = 0
    try:
        while process.is_alive():
            consolidate(lake)
            compacted += maintain(lake, KEEP)["raw"].compacted
            turns += 1
    finally:
        process.join(60)
    assert process.exitcode == 0
    assert compacted > 1, "nothing was compacted while the other wrote"
    consolidate(lake)
    maintain(lake, AT_ONCE)
    keys = [(session, sequence) for session, sequence, _ in raw_messages(lake)]
    assert len(keys) == len(set(keys)) == 24 + commits
    assert rows(lake, "select count(*) as n from quarantine where session = 'other'") == [{"n": commits}]
    ids = {json.loads(payload)["data"]["id"] for _, _, payload in raw_messages(lake)}
    assert rows(lake, "select count(*) as n from fact_post") == [{"n": len(ids)}]
    assert [comparison.wrong for comparison in compare(lake, "1GB")] == [0] * 5


def test_files_that_the_listener_merges_are_not_doubled(tmp_path: Path) -> None:
    lake = a_lake(tmp_path)
    raw = raw_messages(lake)
    listener = Appender(lake.table(RAW), FILES_BY)
    paths = [path for _, path, _ in listener.small_files()][:4]  # it has seen the table before
    maintain(lake)
    with pytest.raises(ConflictError, match="no longer has"):
        listener.merge(paths)
    assert raw_messages(lake) == raw
    with acquire(lake.lock(MERGE_LOCK), "x"), pytest.raises(ConflictError, match="putting files"):
        maintain(lake)


def test_files_that_the_listener_has_merged_stay_until_they_are_consolidated(tmp_path: Path) -> None:
    lake = a_lake(tmp_path)
    maintain(lake, AT_ONCE)
    feed(lake, 30, at=BEGIN + 2 * DAY)
    listener = Appender(lake.table(RAW), FILES_BY)
    paths = [path for (day, _), path, _ in listener.small_files() if day == "2026-11-26"]
    listener.merge(paths)
    done = maintain(lake, AT_ONCE)["raw"]
    assert done.remarks == ["old files stay until what is new is consolidated"]
    assert [run.observations for run in consolidate(lake)] == [12]
    maintain(lake, AT_ONCE)
    assert maintain(lake, AT_ONCE)["raw"].remarks == []
    assert on_disk(lake, "raw") == files(lake, "raw") == 3


def test_two_at_once_are_told_apart(tmp_path: Path) -> None:
    lake = a_lake(tmp_path)
    with acquire(lake.lock("maintain"), "x"), pytest.raises(ConflictError, match="already maintaining"):
        maintain(lake)
    with acquire(lake.lock(LOCK), "x"), pytest.raises(ConflictError, match="consolidating or maintaining"):
        maintain(lake)
    maintain(lake)


def test_an_empty_lake_needs_nothing(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    assert maintain(lake) == {}
    assert Maintenance(lake, KEEP, lambda: AFTER).plan() == []
    assert list(examine_tables(lake)) == []
    assert compare(lake, "1GB") == []


def test_a_good_lake_is_found_good(tmp_path: Path) -> None:
    lake = a_lake(tmp_path)
    for _ in range(2):
        found = {examined.table: examined for examined in examine_tables(lake)}
        assert (found["raw"].rows, found["fact_post"].rows, found["quarantine"].rows) == (24, 24, 8)
        assert [examined.damage for examined in found.values()] == [[]] * len(found)
        compared = compare(lake, "1GB")
        assert [comparison.wrong for comparison in compared] == [0] * 5
        assert all(comparison.of for comparison in compared)
        maintain(lake)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for at in range(4, len(data) // 2):
        data[at] ^= 0x55
    path.write_bytes(data)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "is missing": Path.unlink,
    "bytes, the log says": cut,
    "does not read back": flip,
}


@pytest.mark.parametrize("sign", DAMAGES)
@pytest.mark.parametrize("table", ["raw", "fact_post"])
def test_damage_of_a_file_is_found(tmp_path: Path, table: str, sign: str) -> None:
    lake = a_lake(tmp_path)
    maintain(lake, AT_ONCE)
    (definition,) = [
        one for one in (RAW, *(model.definition for model in load_models())) if one.name == table
    ]
    path = Path(lake.table(definition).snapshot().files[0])
    DAMAGES[sign](path)
    found = {examined.table: examined.damage for examined in examine_tables(lake)}
    assert len(found.pop(table)) == 1
    assert not any(found.values())
    person = Person(tmp_path)
    sentence = person.run("maintain", "--verify").sentence(5)
    assert sign in sentence
    assert path.name in sentence


def spoil(lake: Lake, name: str, sql: str) -> None:
    """Put other rows into a table of layer 2, with a run that says so and has consolidated all."""
    model = next(model for model in load_models() if model.name == name)
    with Catalog(lake) as catalog:
        kept = catalog.query(sql)
    lake.table(model.definition).replace("true", kept)
    run = last_run(lake)
    assert run is not None
    versions = {**run.table_versions, name: lake.table(model.definition).version()}
    changed = {
        **vars(run),
        "number": run.number + 1,
        "raw_version": lake.table(RAW).version(),
        "posts_before": 0,
        "posts_after": 0,
        "versions": [{"table": table, "version": version} for table, version in versions.items()],
    }
    lake.table(RUN).append(pa.Table.from_pylist([changed], schema=RUN.schema))


def test_rows_that_are_lost_are_found(tmp_path: Path) -> None:
    lake = a_lake(tmp_path)
    spoil(lake, "fact_post", "select * from fact_post order by post_id limit 22")
    assert [comparison.wrong for comparison in compare(lake, "1GB")] == [0, 2, 2, 1, 0]
    person = Person(tmp_path)
    assert "posts of raw that fact_post lacks" in person.run("maintain", "--verify").sentence(5)


def test_hashtags_that_are_lost_are_found(tmp_path: Path) -> None:
    lake = a_lake(tmp_path)
    spoil(lake, "bridge_post_hashtag", "select * from bridge_post_hashtag order by all limit 40")
    assert [comparison.wrong > 0 for comparison in compare(lake, "1GB")] == [False, False, False, True, True]


def test_messages_that_are_doubled_are_found(tmp_path: Path) -> None:
    lake = a_lake(tmp_path)
    lake.table(RAW).append(lake.table(RAW).read().slice(0, 3))
    spoil(lake, "fact_post", "select * from fact_post")
    assert [comparison.wrong for comparison in compare(lake, "1GB")] == [3, 0, 0, 0, 0]


def test_the_command_says_a_line_for_each_table(owner: Person) -> None:
    planned = owner.good("maintain", "--dry-run").splitlines()
    assert all(line.startswith("Would be ") for line in planned)
    done = owner.good("maintain").splitlines()
    assert [line.split(":")[0] for line in done][:2] == ["raw", "run"]
    told = [json.loads(line) for line in owner.good("maintain", "--json").splitlines()]
    assert {one["table"] for one in told} >= {"raw", "fact_post", "dim_hashtag"}
    checked = owner.good("maintain", "--verify").splitlines()
    assert "posts of raw that fact_post lacks: 0 of 3 000." in [
        line.replace("\u2009", " ") for line in checked
    ]
    assert json.loads(owner.good("maintain", "--verify", "--json").splitlines()[0])["damage"] == []
    assert "one of" in owner.run("maintain", "--dry-run", "--verify").sentence(2)
    assert "interval" in owner.run("maintain", "--every", "often").sentence(2)
    assert "no table" in Person(owner.folder / "lake").good("maintain", BEMTEVI_LAKE="none")


def test_the_command_goes_on_until_it_is_stopped(owner: Person) -> None:
    process = owner.start("--log-json", "maintain", "--every", "1s")
    assert process.stderr is not None
    events = [json.loads(process.stderr.readline())["event"] for _ in range(2)]
    process.terminate()
    assert process.wait(60) == 0
    assert events == ["maintain.done"] * 2


def test_the_log_of_another_program_that_was_cut_is_one_sentence(tmp_path: Path) -> None:
    lake = a_lake(tmp_path)
    for path in (Path(lake.table(RAW).uri) / "_delta_log").glob("*"):
        path.write_bytes(b"{")
    with pytest.raises(StorageError):
        maintain(lake)


@pytest.mark.parametrize("flags", [(), ("--dry-run",), ("--verify",)])
def test_a_lake_without_a_table_is_told(tmp_path: Path, flags: tuple[str, ...]) -> None:
    assert "There is no table yet" in Person(tmp_path).good("maintain", *flags)
