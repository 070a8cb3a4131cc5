"""What is measured on: invented posts, kept between runs since making them takes as long as measuring."""

from __future__ import annotations

import gzip
import shutil
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bemtevi.simulate import write_history

TOPICS = ("covid19", "vacina")
UNTIL = datetime(2026, 8, 20, 15, tzinfo=UTC)
DAYS = 7
FORM = 1
"""Raised when the simulator invents other posts, so that old files are not used."""


def archive(cache: Path, posts: int, ending: str = "jsonl") -> Path:
    """A file of so many stream lines over a week: `jsonl`, or `jsonl.gz`."""
    plain = cache / f"history-{FORM}-{posts}.jsonl"
    if not plain.exists():
        print(f"inventing {posts:,} posts …", file=sys.stderr)
        cache.mkdir(parents=True, exist_ok=True)
        making = plain.with_suffix(".making.jsonl")
        write_history(making, TOPICS, since=UNTIL - timedelta(days=DAYS), until=UNTIL, count=posts, seed=1)
        making.replace(plain)
    packed = plain.with_suffix(".jsonl.gz")
    if ending == "jsonl.gz" and not packed.exists():
        making = packed.with_suffix(".making")
        with plain.open("rb") as source, gzip.open(making, "wb", compresslevel=6) as target:
            shutil.copyfileobj(source, target, 1 << 20)
        making.replace(packed)
    return packed if ending == "jsonl.gz" else plain


def default_cache() -> Path:
    """Where the files are kept if nothing else is said."""
    return Path(tempfile.gettempdir()) / "bemtevi-benchmarks"


def folder_bytes(folder: Path) -> int:
    """The bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
