"""Real messages through the simulated X: nothing in them stops it or gets lost."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bemtevi.simulate.fields import Selection
from bemtevi.simulate.matching import CompiledRules
from bemtevi.simulate.rules import parse
from bemtevi.simulate.sources import ReplaySource

RULES = CompiledRules([("1", parse("#standwithhongkong")), ("2", parse("the has:hashtags -is:retweet"))])
EXPANDED = Selection(
    {
        "tweet.fields": "entities,created_at,referenced_tweets",
        "expansions": "author_id,referenced_tweets.id,attachments.media_keys,geo.place_id",
    }
)


@pytest.mark.parametrize("name", ["x_v2_stream_hashtag_hk.jsonl.gz", "x_v2_stream_twarc.jsonl.gz"])
def test_real_streams_are_replayed_whole(real_data: Path, name: str) -> None:
    path = real_data / "x_v2_stream" / name
    source = ReplaySource(path)
    now = datetime.now(UTC)
    count = hits = 0
    while made := source.take(1_000, now):
        for identity, template in made:
            assert template.subject is not None
            hits += bool(RULES.hits(template.subject, identity))
            cut = EXPANDED.apply(template.message(identity))
            assert cut["data"]["id"] == str(identity)
        count += len(made)
    assert count == gzip.decompress(path.read_bytes()).count(b"\n")
    assert 0 < hits < count


def test_every_real_page_is_read(real_data: Path) -> None:
    for path in sorted((real_data / "x_v2_pages").rglob("*.jsonl.gz")):
        source = ReplaySource(path)
        while made := source.take(500, datetime.now(UTC)):
            for identity, template in made:
                assert str(identity) == EXPANDED.apply(template.message(identity))["data"]["id"]
