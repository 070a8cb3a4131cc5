"""Archives of invented past days."""

from __future__ import annotations

import gzip
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bemtevi.errors import UsageError
from bemtevi.simulate import write_history
from bemtevi.simulate.snowflake import time_of, timestamp
from bemtevi.simulate.sources import read_messages

UNTIL = datetime(2026, 8, 20, 15, tzinfo=UTC)
SINCE = UNTIL - timedelta(days=7)


def test_a_history_is_in_order_unique_and_complete(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "h.jsonl.gz"
    size = write_history(path, ("a", "b"), since=SINCE, until=UNTIL, count=5_000, seed=2)
    assert len(gzip.decompress(path.read_bytes())) == size
    messages = list(read_messages(path))
    ids = [int(message["data"]["id"]) for message in messages]
    assert len(ids) == len(set(ids)) == 5_000
    assert ids == sorted(ids)
    assert all(SINCE <= time_of(identity) < UNTIL + timedelta(milliseconds=5) for identity in ids)
    for message in messages:
        assert message["data"]["created_at"] == timestamp(time_of(int(message["data"]["id"])))
        for original in message["includes"].get("tweets", ()):
            assert int(original["id"]) < int(message["data"]["id"])
    assert len({message["data"]["text"] for message in messages}) > 800


def test_an_edit_comes_soon_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bemtevi.simulate.posts.EDIT", 0.9)
    path = tmp_path / "h.jsonl"
    write_history(path, since=UNTIL - timedelta(hours=2), until=UNTIL, count=4_000)
    chains = [message["data"]["edit_history_tweet_ids"] for message in read_messages(path)]
    assert sum(len(chain) > 1 for chain in chains) > 100
    for chain in chains:
        assert time_of(int(chain[-1])) - time_of(int(chain[0])) < timedelta(minutes=30)
    followed = [chain[-2] for chain in chains if len(chain) > 1]
    assert len(followed) == len(set(followed))


def test_days_have_a_rhythm_and_bursts(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    write_history(path, ("a", "b"), since=SINCE, until=UNTIL, count=20_000, bursts=0)
    hours = Counter((time_of(int(m["data"]["id"])) - timedelta(hours=3)).hour for m in read_messages(path))
    assert hours[20] > 3 * hours[5]
    calm = Counter(m["data"]["created_at"][:13] for m in read_messages(path))
    write_history(path, ("a", "b"), since=SINCE, until=UNTIL, count=20_000, bursts=2)
    burst = Counter(m["data"]["created_at"][:13] for m in read_messages(path))
    assert max(burst.values()) > 2 * max(calm.values())


@pytest.mark.parametrize("name", ["h.jsonl", "h.jsonl.gz", "h.jsonl.zst"])
def test_the_same_seed_gives_the_same_file(tmp_path: Path, name: str) -> None:
    for place in ("one", "two"):
        write_history(tmp_path / place / name, since=SINCE, until=UNTIL, count=700, seed=9)
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_packed_file_does_not_tell_when_it_was_made(tmp_path: Path) -> None:
    write_history(tmp_path / "h.gz", since=SINCE, until=UNTIL, count=1)
    assert (tmp_path / "h.gz").read_bytes()[4:8] == bytes(4)


def test_time_does_not_run_backwards(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        write_history(tmp_path / "h", since=UNTIL, until=SINCE, count=1)
