"""X's two spellings of the same message.

Owns: the names that X renamed from Tweet to Post in its API description 2.167, both for messages and for
the names of requested fields and expansions. The generator writes the older spelling; this turns it.
"""

from __future__ import annotations

from typing import Any, Literal

Spelling = Literal["tweet", "post"]

_POST = {
    "referenced_tweets": "referenced_posts",
    "note_tweet": "note_post",
    "edit_history_tweet_ids": "edit_history_post_ids",
}
_USER = {"pinned_tweet_id": "pinned_post_id", "most_recent_tweet_id": "most_recent_post_id"}
_METRICS = {"retweet_count": "repost_count"}
_USER_METRICS = {"tweet_count": "post_count"}
_REQUESTED = {
    "referenced_posts": "referenced_tweets.id",
    "edit_history_post_ids": "edit_history_tweet_ids",
    "note_post": "note_tweet",
    "pinned_post_id": "pinned_tweet_id",
}


def respell(message: dict[str, Any]) -> dict[str, Any]:
    """The message in the newer spelling. Parts that do not change are shared with the given one."""
    turned = dict(message)
    if "data" in message:
        turned["data"] = _post(message["data"])
    if "includes" in message:
        includes = dict(message["includes"])
        if "tweets" in includes:
            includes["posts"] = [_post(post) for post in includes.pop("tweets")]
        if "users" in includes:
            includes["users"] = [_user(user) for user in includes["users"]]
        turned["includes"] = includes
    return turned


def expansion_of(name: str) -> str:
    """A requested expansion, in the older spelling."""
    return _REQUESTED.get(name, name)


def field_of(name: str) -> str:
    """A requested field, in the older spelling."""
    return "referenced_tweets" if name == "referenced_posts" else _REQUESTED.get(name, name)


def both_spellings(name: str) -> tuple[str, ...]:
    """A field's name in messages of either spelling."""
    newer = _POST.get(name) or _USER.get(name)
    return (name, newer) if newer else (name,)


def _post(post: dict[str, Any]) -> dict[str, Any]:
    turned = {_POST.get(key, key): value for key, value in post.items()}
    if "public_metrics" in post:
        turned["public_metrics"] = {_METRICS.get(key, key): n for key, n in post["public_metrics"].items()}
    return turned


def _user(user: dict[str, Any]) -> dict[str, Any]:
    turned = {_USER.get(key, key): value for key, value in user.items()}
    if "public_metrics" in user:
        turned["public_metrics"] = {
            _USER_METRICS.get(key, key): n for key, n in user["public_metrics"].items()
        }
    return turned
