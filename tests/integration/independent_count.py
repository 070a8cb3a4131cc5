"""What is in archive files, counted without any of our code: the distinct posts and their hashtags.

Plain Python over the files, as slow and as simple as can be; `test_real_data.py` holds our tables against it.
A post that was delivered is one in `data` of X's v2, a status of v1.1 at the top, in an array or in a page.
Its hashtags are those in its own entities, in its long form, and in the post that it reposts or quotes.
"""

from __future__ import annotations

import gzip
import json
import sys
import unicodedata
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

INVISIBLE = dict.fromkeys([0x00AD, 0x200B, 0x200C, 0x200D, 0x2060, *range(0xFE00, 0xFE10)])


def values(path: Path) -> Iterator[Any]:
    """Every JSON value of a file; what is not JSON is passed over."""
    if path.suffix == ".gz":
        texts = [gzip.decompress(path.read_bytes()).decode()]
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            texts = [archive.read(name).decode() for name in archive.namelist()]
    else:
        texts = [path.read_text(encoding="utf-8")]
    for text in texts:
        try:
            whole = json.loads(text)
        except json.JSONDecodeError:
            for line in text.split("\n"):
                try:
                    yield json.loads(line)
                except json.JSONDecodeError:
                    continue
        else:
            yield from whole if isinstance(whole, list) else [whole]


def posts(value: Any) -> Iterator[tuple[str, set[str]]]:
    """The id and the hashtags of each delivered post in a message."""
    if not isinstance(value, dict):
        return
    data = value.get("data")
    if data is not None:
        includes = value.get("includes") or {}
        included = {post["id"]: post for post in includes.get("tweets") or includes.get("posts") or []}
        for post in data if isinstance(data, list) else [data]:
            if "text" in post and "id" in post:
                yield post["id"], tags_v2(post, included)
        return
    for status in value.get("statuses") or value.get("results") or [value]:
        if "user" in status and ("text" in status or "full_text" in status):
            yield str(status.get("id_str") or status["id"]), tags_v1(status)


def tags_v2(post: dict[str, Any], included: dict[str, Any]) -> set[str]:
    """Of a v2 post."""
    found = own_v2(post)
    for reference in post.get("referenced_tweets") or post.get("referenced_posts") or []:
        if reference["type"] in ("retweeted", "quoted") and reference["id"] in included:
            kinds = [other["type"] for other in post.get("referenced_tweets") or []]
            if reference["type"] == "quoted" and "retweeted" in kinds:
                continue
            found |= own_v2(included[reference["id"]])
    return found


def own_v2(post: dict[str, Any]) -> set[str]:
    """Of a v2 post's own words."""
    found: set[str] = set()
    for holder in (post, post.get("note_tweet") or {}, post.get("note_post") or {}):
        found |= {fold(tag["tag"]) for tag in (holder.get("entities") or {}).get("hashtags") or []}
    return found


def tags_v1(status: dict[str, Any]) -> set[str]:
    """Of a v1.1 status."""
    found = own_v1(status)
    reference = status.get("retweeted_status") or status.get("quoted_status")
    return found | (own_v1(reference) if reference else set())


def own_v1(status: dict[str, Any]) -> set[str]:
    """Of a v1.1 status's own words."""
    found: set[str] = set()
    for holder in (status, status.get("extended_tweet") or {}):
        found |= {fold(tag["text"]) for tag in (holder.get("entities") or {}).get("hashtags") or []}
    return found


def fold(tag: str) -> str:
    """Case and compatibility forms away."""
    tag = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", tag).casefold())
    return tag.translate(INVISIBLE)


def count(paths: list[Path]) -> dict[str, set[str]]:
    """The distinct posts of some files, each with all hashtags that any of its copies shows."""
    found: dict[str, set[str]] = {}
    for path in paths:
        for value in values(path):
            for post_id, tags in posts(value):
                found.setdefault(post_id, set()).update(tags)
    return found


if __name__ == "__main__":
    counted = count([Path(name) for name in sys.argv[1:]])
    pairs = sum(map(len, counted.values()))
    print(f"{len(counted)} distinct posts, {pairs} pairs of post and hashtag")  # noqa: T201
