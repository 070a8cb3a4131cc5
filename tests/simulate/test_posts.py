"""Invented posts: shaped like X's, spread like X's."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from bemtevi.simulate import PoolSource, PostGenerator
from bemtevi.simulate.snowflake import Snowflakes, milliseconds, time_of, timestamp

NOON = datetime(2026, 8, 1, 12, tzinfo=UTC)
COUNT = 8_000


@pytest.fixture(scope="module")
def posts() -> list[dict[str, Any]]:
    generator = PostGenerator(7)
    return [generator.make(NOON + timedelta(milliseconds=40 * number)) for number in range(COUNT)]


def hashtags(part: dict[str, Any]) -> list[str]:
    return [tag["tag"] for tag in part.get("entities", {}).get("hashtags", ())]


def kinds(message: dict[str, Any]) -> list[str]:
    return [reference["type"] for reference in message["data"].get("referenced_tweets", ())]


def share(found: Any) -> float:
    return sum(1 for _ in found) / COUNT


def test_ids_are_unique_rising_and_tell_the_time(posts: list[dict[str, Any]]) -> None:
    ids = [int(post["data"]["id"]) for post in posts]
    assert len(set(ids)) == COUNT
    assert ids == sorted(ids)
    for number, post in enumerate(posts):
        moment = time_of(int(post["data"]["id"]))
        assert post["data"]["created_at"] == timestamp(moment)
        assert moment == NOON + timedelta(milliseconds=40 * number)


def test_included_originals_are_older_and_never_share_an_id(posts: list[dict[str, Any]]) -> None:
    emitted: dict[str, dict[str, Any]] = {}
    for post in posts:
        for original in post["includes"].get("tweets", ()):
            assert int(original["id"]) < int(post["data"]["id"])
            assert original["created_at"] == timestamp(time_of(int(original["id"])))
            if original["id"] in emitted:
                assert original["text"] == emitted[original["id"]]["text"]
        emitted[post["data"]["id"]] = post["data"]


def test_lines_are_as_long_as_real_ones(posts: list[dict[str, Any]]) -> None:
    mean = sum(len(msgspec.json.encode(post)) for post in posts) / COUNT
    assert 1_800 < mean < 2_400


def test_kinds_are_spread_as_in_real_streams(posts: list[dict[str, Any]]) -> None:
    found = Counter(kind for post in posts for kind in kinds(post))
    assert 0.19 < found["retweeted"] / COUNT < 0.25
    assert 0.05 < found["quoted"] / COUNT < 0.11
    assert 0.12 < found["replied_to"] / COUNT < 0.21
    edits = share(post for post in posts if len(post["data"]["edit_history_tweet_ids"]) > 1)
    assert 0.003 < edits < 0.02
    assert 0.002 < share(post for post in posts if "errors" in post) < 0.06
    assert 0.005 < share(post for post in posts if "geo" in post["data"]) < 0.03
    assert 0 < share(post for post in posts if "withheld" in post["data"]) < 0.01
    assert 0.1 < share(post for post in posts if "media" in post["includes"]) < 0.3
    assert share(post for post in posts if "&amp;" in post["data"]["text"]) > 0.01


def test_a_repost_often_has_its_tag_in_the_original_alone(posts: list[dict[str, Any]]) -> None:
    tagged = lost = 0
    for post in posts:
        if kinds(post) == ["retweeted"]:
            assert post["data"]["text"].startswith("RT @")
            assert len(post["data"]["text"]) <= 140
            original = post["includes"]["tweets"][0]
            wanted = hashtags(original) + hashtags(original.get("note_tweet", {}))
            tagged += bool(wanted)
            lost += bool(set(wanted) - set(hashtags(post["data"])))
    assert 0.2 < lost / tagged < 0.8


def test_counts_are_near_zero_when_new_and_large_on_originals(posts: list[dict[str, Any]]) -> None:
    for post in posts:
        counts = post["data"]["public_metrics"]
        assert counts["like_count"] == 0
        if kinds(post) == ["retweeted"]:
            original = post["includes"]["tweets"][0]["public_metrics"]
            assert counts["retweet_count"] == original["retweet_count"] > 0


def test_long_posts_hide_tags_beyond_the_visible_text(posts: list[dict[str, Any]]) -> None:
    long = [post["data"] for post in posts if "note_tweet" in post["data"]]
    assert 0.005 < len(long) / COUNT < 0.05
    assert all(len(data["note_tweet"]["text"]) > 280 >= len(data["text"]) for data in long)
    assert any(hashtags(data["note_tweet"]) and not hashtags(data) for data in long)


def test_entities_stand_where_they_say(posts: list[dict[str, Any]]) -> None:
    for post in posts:
        for part in (post["data"], *post["includes"].get("tweets", ())):
            for place in (part, part.get("note_tweet", {})):
                for tag in place.get("entities", {}).get("hashtags", ()):
                    assert place["text"][tag["start"] : tag["end"]] in ("#" + tag["tag"], "＃" + tag["tag"])
                for mention in place.get("entities", {}).get("mentions", ()):
                    assert place["text"][mention["start"] : mention["end"]] == "@" + mention["username"]
                for url in place.get("entities", {}).get("urls", ()):
                    assert place["text"][url["start"] : url["end"]] == url["url"]


def test_tags_have_a_long_tail_and_variants(posts: list[dict[str, Any]]) -> None:
    own = [hashtags(post["data"]) for post in posts if kinds(post) != ["retweeted"]]
    tagged = [tags for tags in own if tags]
    uses = Counter(tag.casefold() for tags in tagged for tag in tags)
    assert len(uses) > 1_000
    twice = sum(1 for tags in tagged if len({tag.casefold() for tag in tags}) < len(tags)) / len(tagged)
    assert 0.03 < twice < 0.10
    spellings = {tag for tags in tagged for tag in tags if tag.casefold() == "covid19"}
    assert len(spellings) > 2
    assert 0.15 < sum(n for tag, n in uses.items() if not tag.isascii()) / uses.total() < 0.7
    assert any("＃" in post["data"]["text"] for post in posts)
    topics = [uses[topic.casefold()] for topic in ("covid19", "vacinação", "SaúdePública")]
    assert topics == sorted(topics, reverse=True)


def test_languages_are_x_codes(posts: list[dict[str, Any]]) -> None:
    codes = Counter(post["data"]["lang"] for post in posts)
    assert {"pt", "en", "es", "ja", "hi", "ar", "in", "iw", "und", "qme"} <= set(codes)
    assert codes["pt"] + codes["en"] > COUNT * 0.6


def test_an_edit_is_a_new_id_in_a_rising_chain(posts: list[dict[str, Any]]) -> None:
    seen: dict[str, dict[str, Any]] = {}
    successors: Counter[str] = Counter()
    for post in posts:
        data = post["data"]
        chain = data["edit_history_tweet_ids"]
        assert chain[-1] == data["id"]
        assert chain == sorted(chain, key=int)
        for before, after in itertools.pairwise(chain):
            assert time_of(int(after)) - time_of(int(chain[0])) < timedelta(minutes=30)
            assert seen[before]["author_id"] == data["author_id"]
        if len(chain) > 1:
            successors[chain[-2]] += 1
            assert data["edit_controls"]["edits_remaining"] == 6 - len(chain)
        seen[data["id"]] = data
    assert max(successors.values()) == 1


def test_a_version_is_followed_by_one_other_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bemtevi.simulate.posts.EDIT", 0.9)
    generator = PostGenerator(11)
    made = [generator.make(NOON + timedelta(milliseconds=number))["data"] for number in range(2_000)]
    chains = [data["edit_history_tweet_ids"] for data in made]
    followed = Counter(chain[-2] for chain in chains if len(chain) > 1)
    assert len(followed) > 200
    assert max(followed.values()) == 1
    assert max(map(len, chains)) <= 5


def test_people_change_now_and_then(posts: list[dict[str, Any]]) -> None:
    descriptions: dict[str, set[str]] = {}
    for post in posts:
        user = post["includes"]["users"][0]
        assert user["id"] == post["data"]["author_id"]
        descriptions.setdefault(user["id"], set()).add(user["description"])
    changed = sum(1 for versions in descriptions.values() if len(versions) > 1)
    assert 0 < changed < len(descriptions) / 4


def test_the_same_seed_gives_the_same_posts() -> None:
    one, same, other = (PostGenerator(seed) for seed in (3, 3, 4))
    made = [[generator.make(NOON) for _ in range(50)] for generator in (one, same, other)]
    assert made[0] == made[1] != made[2]


def test_the_newer_spelling_says_post_where_the_older_says_tweet() -> None:
    old, new = PostGenerator(5), PostGenerator(5, spelling="post")
    before = msgspec.json.encode([old.make(NOON) for _ in range(500)])
    after = msgspec.json.encode([new.make(NOON) for _ in range(500)])
    for name in ("referenced_tweets", "note_tweet", "edit_history_tweet_ids", "pinned_tweet_id"):
        older, newer = f'"{name}":'.encode(), f'"{name.replace("tweet", "post")}":'.encode()
        assert older in before
        assert older not in after
        assert newer in after
    for key in (b'"tweets":', b'"retweet_count":', b'"tweet_count":'):
        assert key in before
        assert key not in after
    for key in (b'"posts":', b'"repost_count":', b'"post_count":'):
        assert key in after


def test_a_pool_is_stamped_anew_each_time() -> None:
    pool = PoolSource.of(PostGenerator(1, edits=False), NOON, 100)
    later = NOON + timedelta(hours=3, milliseconds=1_700)
    lines = (pool.lines(250, NOON) + pool.lines(250, later)).split(b"\r\n")
    assert lines.pop() == b""
    messages = [msgspec.json.decode(line)["data"] for line in lines]
    assert len({data["id"] for data in messages}) == 500
    for number, data in enumerate(messages):
        moment = NOON if number < 250 else later
        assert time_of(int(data["id"])) == moment
        assert data["created_at"] == timestamp(moment)
        assert data["edit_history_tweet_ids"] == [data["id"]]
        assert data["edit_controls"]["editable_until"] == timestamp(moment + timedelta(minutes=30))
    assert len({data["author_id"] for data in messages}) > 50


def test_ids_stay_unique_when_the_clock_stands_or_falls() -> None:
    source = Snowflakes()
    ids: list[int] = []
    for step in (0, 0, -500, 3):
        ids += source.take_many(milliseconds(NOON) + step, 1_500_000)
    assert len(ids) == len(set(ids))
    assert ids[0] < ids[-1]
