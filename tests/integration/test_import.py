"""`bemtevi import`, as a person runs it: what is told, what is there afterwards, and what is not."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from collections import Counter
from pathlib import Path

import pytest

from bemtevi.errors import UsageError
from bemtevi.lake.lake import Lake
from bemtevi.lake.layout import Layout
from bemtevi.lake.raw import QUARANTINE, RAW
from bemtevi.listen.archive import check, import_file
from bemtevi.listen.unpack import ignore

AS_NO_SUPERUSER = """
import ctypes, os, sys
for right in (1, 2):  # to pass over the rights of files, and to search any folder
    ctypes.CDLL(None).prctl(24, right, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-m", "bemtevi", *sys.argv[1:]])
"""
THIN_SPACE = "\u2009"


def line(number: int, text: str = "olá") -> bytes:
    return (
        json.dumps({"data": {"id": str(1_500_000_000_000_000_000 + number), "text": text}}).encode() + b"\n"
    )


LINES = b"".join(map(line, range(20)))
FLAT = json.dumps({"id": "1500000000000000100", "text": "flat", "author_id": "1"}).encode() + b"\n"
STATUS = json.dumps({"id": 1, "text": "old", "user": {"id": 2}, "created_at": "x"}).encode() + b"\n"
MIXED = LINES + line(0) + b'{"a":1}\nnoise\n{"delete":{"status":{"id":5}}}\n' + FLAT + STATUS


class Importer:
    """The command, over one lake."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lake = Lake(Layout(str(folder / "lake")), "UTC")
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("BEMTEVI_")},
            "BEMTEVI_LAKE": str(folder / "lake"),
            "BEMTEVI_JOURNAL": str(folder / "journal"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def command(self, *files: str | Path) -> list[str]:
        how = ["-c", AS_NO_SUPERUSER] if os.geteuid() == 0 else ["-m", "bemtevi"]
        return [sys.executable, *how, "import", *map(str, files)]

    def run(self, *files: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*files),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=60,
            check=False,
        )

    def told(self, *files: str | Path) -> str:
        run = self.run(*files)
        assert (run.returncode, run.stderr) == (0, "")
        return run.stdout.replace(THIN_SPACE, "")

    def refused(self, *files: str | Path, code: int = 2) -> str:
        """The one sentence; nothing was written."""
        before = self.content()
        run = self.run(*files)
        assert (run.returncode, run.stdout) == (code, "")
        assert "Traceback" not in run.stderr
        (sentence,) = run.stderr.splitlines()
        assert sentence.startswith("bemtevi: ")
        assert self.content() == before
        return sentence

    def content(self) -> Counter[tuple[str, str, int]]:
        return Counter(
            (definition.name, row["session"], row["sequence"])
            for definition in (RAW, QUARANTINE)
            for row in self.lake.table(definition).read().select(["session", "sequence"]).to_pylist()
        )


@pytest.fixture
def importer(tmp_path: Path) -> Importer:
    return Importer(tmp_path)


def test_the_sentence_tells_all_and_a_second_time_adds_nothing(importer: Importer, tmp_path: Path) -> None:
    (tmp_path / "mixed.jsonl.gz").write_bytes(gzip.compress(MIXED))
    told = importer.told("mixed.jsonl.gz")
    for part in ("mixed.jsonl.gz: 26 messages, 23 posts", "1 of them repeated", "1 delet", "1 unknown"):
        assert part in told
    assert '2 in quarantine (bemtevi query "select reason from quarantine")' in told
    content = importer.content()
    assert set(content.values()) == {1}
    assert Counter(name for name, _, _ in content) == {"raw": 25, "quarantine": 2}
    reasons = importer.lake.table(QUARANTINE).read()["reason"].to_pylist()
    assert sorted(re.sub(r": .*", "", reason) for reason in reasons) == ["line 22", "line 23"]

    assert importer.told("mixed.jsonl.gz") == (
        "mixed.jsonl.gz: already imported (26 messages); nothing added.\n"
    )
    (tmp_path / "other name").write_bytes((tmp_path / "mixed.jsonl.gz").read_bytes())
    assert "already imported" in importer.told("other name", "mixed.jsonl.gz")
    assert importer.content() == content


def test_every_packing_in_one_call(importer: Importer, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(LINES)
    (tmp_path / "b.json").write_bytes(json.dumps([json.loads(FLAT)] * 2, indent=2).encode())
    with tarfile.open(tmp_path / "c.tar", "w") as archive:
        for name, data in (("00.json.bz2", bz2.compress(LINES + b"{\n")), ("README", b"words")):
            (tmp_path / name).write_bytes(data)
            archive.add(tmp_path / name, f"2026/{name}")
    told = importer.told("a.jsonl", "b.json", "c.tar").splitlines()
    assert told == [
        "a.jsonl: 20 messages, 20 posts.",
        "b.json: 2 messages, 2 posts, 1 of them repeated.",
        (
            'c.tar: 21 messages, 20 posts, 1 in quarantine (bemtevi query "select reason from quarantine"), '
            "no JSON in c.tar!2026/README."
        ),
        "Together: 43 messages, 42 posts, 1 in quarantine.",
    ]
    raw = importer.lake.table(RAW).read()
    assert set(raw["source"].to_pylist()) == {"a.jsonl", "b.json", "c.tar"}
    assert set(raw["path"].to_pylist()) == {"archive"}
    (reason,) = importer.lake.table(QUARANTINE).read()["reason"].to_pylist()
    assert reason.startswith("2026/00.json line 21: not JSON")


def test_the_payload_is_in_raw_byte_for_byte(importer: Importer, tmp_path: Path) -> None:
    odd = [b'{"data" : {"id":"1","text":"\\u0000 \xe2\x80\xa8 \xf0\x9f\x98\x80"}  }', b'{ "a":[1.0,1e5] }']
    (tmp_path / "odd").write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(odd))
    importer.told("odd")
    raw = importer.lake.table(RAW).read().sort_by("sequence")
    assert [payload.encode() for payload in raw["payload"].to_pylist()] == odd


def test_a_damaged_archive_is_one_sentence_and_nothing_is_written(importer: Importer, tmp_path: Path) -> None:
    (tmp_path / "good.jsonl").write_bytes(LINES)
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(MIXED * 50)[:-20])
    sentence = importer.refused("good.jsonl", "cut.jsonl.gz")
    assert "cut.jsonl.gz is not whole" in sentence
    assert not (tmp_path / "lake" / "layer1").exists()
    assert importer.told("good.jsonl") == "good.jsonl: 20 messages, 20 posts.\n"


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("empty", b"", "holds no posts"),
        ("white", b"\n \r\n", "holds no posts"),
        ("empty.gz", gzip.compress(b"", mtime=0), "holds no posts"),
        ("table.csv", b"id,text\n1,a\n", "holds no posts"),
        ("page.html", b"<html>{}</html>", "holds no posts"),
        ("cut.gz", gzip.compress(LINES, mtime=0)[:100], "is not whole"),
        ("cut.zip", b"PK\x03\x04" + b"\0" * 50, "is not whole"),
    ],
    ids=["empty", "white", "empty gzip", "table", "page", "cut gzip", "cut zip"],
)
def test_a_file_without_posts_is_refused(
    importer: Importer, tmp_path: Path, name: str, data: bytes, sentence: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(UsageError, match=sentence):
        import_file(importer.lake, path, check(path, ignore), time.time_ns)
    assert not (tmp_path / "lake" / "layer1").exists()


def test_what_is_no_file_is_one_sentence(importer: Importer, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert "is a folder" in importer.refused("folder")
    assert "no file" in importer.refused("missing")
    os.mkfifo(tmp_path / "pipe")
    assert "pipe" in importer.refused("pipe")
    (tmp_path / "table.csv").write_bytes(b"id,text\n1,a\n")
    assert "holds no posts" in importer.refused("table.csv")


def test_what_may_not_be_read_or_written_is_one_sentence(importer: Importer, tmp_path: Path) -> None:
    path = tmp_path / "locked.jsonl"
    path.write_bytes(LINES)
    path.chmod(0)
    sentence = importer.refused("locked.jsonl")
    assert "locked.jsonl" in sentence
    assert "Permission denied" in sentence or "not readable" in sentence
    path.chmod(0o644)
    (tmp_path / "lake").mkdir(mode=0o555)
    sentence = importer.refused("locked.jsonl", code=4)
    assert "lake" in sentence
    assert "ermission" in sentence


def test_a_name_that_is_not_utf8(importer: Importer, tmp_path: Path) -> None:
    name = os.fsdecode(b"not\xedcias.jsonl")
    (tmp_path / name).write_bytes(LINES)
    run = importer.run(name)
    assert run.returncode == 0, run.stderr
    assert "20 posts" in run.stdout
    assert set(importer.lake.table(RAW).read()["source"].to_pylist()) == {"not\ufffdcias.jsonl"}


def test_interrupted_and_run_again_it_doubles_nothing(importer: Importer, tmp_path: Path) -> None:
    total = 110_000
    with (tmp_path / "large.jsonl").open("wb") as file:
        file.writelines(b'{"data":{"id":"%d","text":"a"}}\n' % number for number in range(total))
        file.writelines([b"broken\n"] * 3)
    process = subprocess.Popen(
        importer.command("large.jsonl"),
        cwd=tmp_path,
        env=importer.environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    first = tmp_path / "lake" / "layer1" / "raw" / "_delta_log" / f"{1:020d}.json"
    until = time.monotonic() + 30
    while not first.exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert errors.startswith("bemtevi: Interrupted.")
    assert len(errors.splitlines()) == 1
    written = importer.lake.table(RAW).read(None).num_rows
    assert 0 < written < total

    told = importer.told("large.jsonl")
    assert f"{written} were there from an interrupted import" in told
    assert f"{total + 3 - written} messages" in told
    content = importer.content()
    assert set(content.values()) == {1}
    assert Counter(name for name, _, _ in content) == {"raw": total, "quarantine": 3}
    assert {sequence for _, _, sequence in content} == set(range(total + 3))
    assert "already imported (110003 messages)" in importer.told("large.jsonl")


def test_an_interrupted_import_goes_on_with_batches_of_another_size(
    importer: Importer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(LINES + b"broken\n" + LINES)
    digest = check(path, ignore)
    ticks = iter([1_000, 2_000])  # and then it is interrupted

    def clock() -> int:
        try:
            return next(ticks)
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr("bemtevi.listen.archive.BATCH_MESSAGES", 7)
    with pytest.raises(KeyboardInterrupt):
        import_file(importer.lake, path, digest, clock)
    assert len(importer.content()) == 14
    monkeypatch.setattr("bemtevi.listen.archive.BATCH_MESSAGES", 10)
    report = import_file(importer.lake, path, digest, time.time_ns)
    assert (report.count.messages, report.known_before) == (27, 14)
    assert {place for _, _, place in importer.content()} == set(range(41))
    assert sum(importer.content().values()) == 41
    assert import_file(importer.lake, path, digest, time.time_ns).known_before == 41


@pytest.mark.parametrize(
    "name", ["x_v2_pages/twarc_csv/flat.jsonl.gz", "x_v1/twip_polled_search_71pct_duplicates.zip"]
)
def test_real_files(importer: Importer, real_data: Path, name: str) -> None:
    told = importer.told(real_data / name)
    assert "quarantine" not in told
    messages, posts = map(int, re.findall(r"(\d+) (?:messages|posts)", told))
    assert messages == posts == importer.lake.table(RAW).read().num_rows
