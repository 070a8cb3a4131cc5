"""What is deleted leaves every file: the bytes are searched, in every column of every file that is left."""

from __future__ import annotations

import gzip
import html
import json
import random
import re
from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
from tests.integration.command import Person
from tests.integration.test_deletes import by, id_of, word
from tests.integration.test_rebuild import rebuild
from tests.support import consolidate, contents, new_lake, put, put_file, rows

from bemtevi.lake.lake import Lake
from bemtevi.lake.layout import JournalLayout
from bemtevi.lake.tombstone import Action, Origin, Subject, Tombstones
from bemtevi.listen import erase_journal, segment
from bemtevi.listen.message import Messages
from bemtevi.listen.message import Origin as Source
from bemtevi.warehouse.erase import Erased, Erasure
from bemtevi.warehouse.maintain import Maintenance, Policy
from bemtevi.warehouse.verify import compare


def maintain(lake: Lake, hours: int = 0, after: timedelta = timedelta()) -> Erased:
    """Maintenance with a deadline of so many hours, some time from now; what was erased."""

    def journals(ids: Collection[str], change: erase_journal.Change) -> list[str]:
        return erase_journal.erase(lake.local, ids, change)

    erasure = Erasure(lake, hours, lambda: datetime.now(UTC) + after, journals, 0)
    work = Maintenance(lake, Policy(6), lambda: datetime.now(UTC), erasure=erasure)
    work.run()
    return work.erased


def everything(*folders: Path) -> Iterable[tuple[Path, bytes]]:
    """Every file and its bytes; those of Parquet unpacked, with their statistics."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if not path.is_file():
                continue
            yield path, path.read_bytes()
            if path.suffix == ".parquet":
                file = pq.ParquetFile(path)
                for group in range(file.num_row_groups):
                    told = file.metadata.row_group(group).to_dict()
                    yield path, str(told).encode()
                for batch in file.iter_batches():
                    text = "\n".join(str(row) for row in batch.to_pylist())
                    yield path, text.encode(errors="replace")
                    yield path, plain(unescaped(text)).encode(errors="replace")


def traces(needles: Iterable[str], *folders: Path) -> list[str]:
    """Where one of the needles stands; ids as whole numbers."""
    numbers = {needle.encode() for needle in needles if needle.isdigit()}
    words = [needle.encode() for needle in needles if not needle.isdigit()]
    found = []
    for path, data in everything(*folders):
        hit = numbers & set(re.findall(rb"[0-9]+", data)) if numbers else set()
        hit |= {needle for needle in words if needle in data}
        if hit:
            found.append(f"{path}: {sorted(hit)[:3]}")
    return found


def places(lake: Lake) -> tuple[Path, Path]:
    """The folders of a lake and its journal."""
    return Path(lake.layout.root), lake.local


def unescaped(text: str) -> str:
    """Text without the escapes of JSON and of Python."""
    told = re.sub(r"\\\\*u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text)
    told = told.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return re.sub(r"\\\\*n", " ", told).replace("\\\\", "").replace("\\", "")


def plain(text: str) -> str:
    """Words as they are compared: without the forms of escaping that networks and files give them."""
    return " ".join(html.unescape(text).split())


def test_no_trace_of_random_authors_of_real_posts(
    real_data: Path, tmp_path: Path, chance: random.Random
) -> None:
    """As a person does it: `forget`, the next consolidation, and maintenance after the deadline."""
    folder = tmp_path / "place"
    folder.mkdir()
    lake, person = new_lake(folder), Person(folder)
    lines = [
        line
        for path in sorted((real_data / "x_v2_stream").glob("*.gz"))
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]
    stream = tmp_path / "stream.jsonl"
    stream.write_bytes(b"\n".join(chance.sample(lines, 400)))
    for path in [stream, *(real_data / "x_v1").rglob("premium_search_*o*.json")]:
        put_file(lake, path)
    consolidate(lake)
    known = rows(
        lake,
        "select author_id, list(post_id) as posts, list(text) as texts from fact_post "
        "where type <> 'repost' and len(text) > 40 group by author_id order by author_id",
    )
    chosen = chance.sample(known, 3)
    posts = {id_ for author in chosen for id_ in author["posts"]}
    needles = {author["author_id"] for author in chosen} | posts
    texts = {plain(text.split("http")[0])[:60] for author in chosen for text in author["texts"]}
    copied = rows(lake, "select author_id, text from fact_post where type <> 'repost'")
    authors = {author["author_id"] for author in chosen}
    copies = [plain(row["text"]) for row in copied if row["author_id"] not in authors]
    texts = {text for text in texts if len(text) > 20 and not any(text in copy for copy in copies)}
    found = traces({*needles, *texts}, *places(lake))
    assert any("layer1/raw" in line for line in found), "the search finds what is there"
    assert any("layer2/fact_post" in line for line in found)
    before = len(rows(lake, "select 1 from fact_post"))
    for author in sorted(authors):
        person.good("forget", "--author", author, "--yes")
    person.good("consolidate")
    assert len(rows(lake, "select 1 from fact_post")) <= before - len(posts)
    assert rows(lake, "select erased_at from tombstone where erased_at is not null") == []
    assert maintain(lake, 24) == Erased(), "not due yet"
    erased = maintain(lake, 24, after=timedelta(hours=24))
    assert erased.waits == []
    assert erased.subjects >= len(needles)
    assert traces({*needles, *texts}, *places(lake)) == []
    assert [found for found in compare(lake, "1GB") if found.wrong] == []
    person.good("maintain", "--verify")
    held = contents(lake)
    assert consolidate(lake) == []
    # made again from what is left of layer 1, all posts are the same; others' descriptions that came with
    # what is erased alone are not known any more
    author_ids = "select distinct author_id from user_observation"
    seen = {row["author_id"] for row in rows(lake, author_ids)}
    rebuild(lake)
    again = contents(lake)
    assert {row["author_id"] for row in rows(lake, author_ids)} <= seen
    for name in held.keys() - {"user_observation", "dim_user"}:
        assert again[name] == held[name], name
    assert traces({*needles, *texts}, *places(lake)) == []


def test_a_later_import_does_not_bring_it_back(tmp_path: Path) -> None:
    theirs, other = by("7", 1, "mine #vacina #segredo"), by("8", 2, "other #vacina")
    lake = new_lake(tmp_path)
    put(lake, [theirs, other])
    consolidate(lake)
    Tombstones(lake).note([word(Subject.AUTHOR, "7")])
    consolidate(lake)
    assert maintain(lake).subjects == 2
    archive = tmp_path / "archive.jsonl.gz"
    archive.write_bytes(gzip.compress(b"\n".join(json.dumps(line).encode() for line in (theirs, other))))
    put_file(lake, archive)
    consolidate(lake)
    assert [row["author_id"] for row in rows(lake, "select author_id from fact_post")] == ["8"]
    assert [found for found in compare(lake, "1GB") if found.wrong] == []
    assert maintain(lake).subjects == 2
    assert traces(["segredo", id_of(theirs)], *places(lake)) == []
    known = rows(lake, "select id from tombstone where erased_at is not null and id is not null")
    assert known == []


def test_an_answer_to_an_erased_author_is_the_same_when_made_again(tmp_path: Path) -> None:
    theirs = by("7", 1, "mine #vacina")
    answer = by("8", 2, "@user7 no #vacina", in_reply_to_user_id="7")  # to whom, but to no post
    lake = new_lake(tmp_path)
    put(lake, [theirs, answer])
    consolidate(lake)
    Tombstones(lake).note([word(Subject.AUTHOR, "7")])
    consolidate(lake)
    assert maintain(lake).waits == []
    held = contents(lake)["fact_post"]
    assert rows(lake, "select in_reply_to_post_id, in_reply_to_author_id from fact_post") == [
        {"in_reply_to_post_id": None, "in_reply_to_author_id": "erased"}
    ]
    rebuild(lake)
    assert contents(lake)["fact_post"] == held


def test_nothing_is_erased_before_half_of_the_deadline(tmp_path: Path) -> None:
    theirs = by("7", 1, "mine #segredo")
    lake = new_lake(tmp_path)
    put(lake, [theirs, by("8", 2, "other")])
    consolidate(lake)
    now = datetime.now(UTC)
    Tombstones(lake).note([word(Subject.POST, id_of(theirs), noted_at=now)])
    assert maintain(lake).waits == ["what is deleted waits for a consolidation"]
    consolidate(lake)
    assert maintain(lake, 24) == Erased()
    restored = word(Subject.POST, id_of(theirs), Action.RESTORE, noted_at=datetime.now(UTC))
    Tombstones(lake).note([restored])
    consolidate(lake)
    assert [row["text"] for row in rows(lake, "select text from fact_post order by created_at")] == [
        "mine #segredo",
        "other",
    ]
    assert maintain(lake) == Erased()


def test_the_place_alone_is_erased(tmp_path: Path) -> None:
    theirs = by("7", 1, "mine #vacina", geo={"place_id": "0123abc"})
    theirs["includes"]["places"] = [{"id": "0123abc", "full_name": "Praia do Segredo", "country_code": "BR"}]
    lake = new_lake(tmp_path)
    put(lake, [theirs])
    consolidate(lake)
    told = word(Subject.POST, id_of(theirs), Action.SCRUB_GEO, origin=Origin.COMPLIANCE)
    Tombstones(lake).note([told])
    consolidate(lake)
    assert maintain(lake).subjects == 1
    assert rows(lake, "select text, place_name from fact_post") == [
        {"text": "mine #vacina", "place_name": None}
    ]
    assert traces(["Praia do Segredo", "0123abc"], *places(lake)) == []


def test_the_journal_and_the_quarantine_are_erased(tmp_path: Path) -> None:
    theirs, other = by("7", 1, "mine #segredo"), by("8", 2, "other")
    lake = new_lake(tmp_path)
    cut = b'{"data":{"id":"' + id_of(theirs).encode() + b'","text":"segredo'
    put(lake, [theirs, cut])
    layout = JournalLayout(lake.local, "x")
    layout.folder.mkdir(parents=True)
    lines = [json.dumps(line).encode() for line in (other, theirs, other)]
    block = Messages(Source("x", "test", "stream", "late"), lines, [1, 2, 3], [0, 1, 2])
    layout.segment(3).write_bytes(segment.encode(block))
    consolidate(lake)
    Tombstones(lake).note([word(Subject.POST, id_of(theirs))])
    consolidate(lake)
    assert maintain(lake).waits == []
    assert traces(["segredo", id_of(theirs)], *places(lake)) == []
    left = [(list(some.payloads), list(some.sequences)) for some in segment.decode(layout.segment(3))]
    assert left == [([lines[0]], [0]), ([lines[2]], [2])]


def test_a_network_is_erased(tmp_path: Path) -> None:
    folder = tmp_path / "place"
    folder.mkdir()
    person = Person(folder, {"BEMTEVI_ERASE_HOURS": "0"})
    lake = new_lake(folder)
    put(lake, [by("7", 1, "mine #segredo"), by("8", 2, "other #segredo")])
    consolidate(lake)
    person.good("forget", "--network", "x", "--yes")
    person.good("consolidate")
    assert rows(lake, "select * from fact_post") == []
    assert "Erased: 1 tombstone" in person.good("maintain")
    assert traces(["segredo", "user7", "user8"], *places(lake)) == []
