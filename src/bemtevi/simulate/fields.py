"""What a client asked to see of each post.

Owns: the names X knows (`tweet.fields`, `expansions`, …), their defaults, and cutting a whole message down
to them. Both spellings are understood, in requests and in messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bemtevi.simulate.problems import invalid_request
from bemtevi.simulate.spelling import both_spellings, expansion_of, field_of

Message = dict[str, Any]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_KNOWN: dict[str, frozenset[str]] = {
    "tweet.fields": _names(
        "article article_title attachments author_id card_uri community_id context_annotations"
        " conversation_id created_at display_text_range edit_controls edit_history_tweet_ids"
        " entities geo id in_reply_to_user_id lang matched_media_notes media_metadata"
        " non_public_metrics note_request_suggestions note_tweet organic_metrics paid_partnership"
        " possibly_sensitive promoted_metrics public_metrics referenced_tweets reply_settings"
        " scopes source suggested_source_links suggested_source_links_with_counts text withheld"
    ),
    "expansions": _names(
        "article.cover_media article.media_entities attachments.media_keys"
        " attachments.media_source_tweet attachments.poll_ids author_id edit_history_tweet_ids"
        " entities.mentions.username geo.place_id in_reply_to_user_id"
        " entities.note.mentions.username referenced_tweets.id"
        " referenced_tweets.id.attachments.media_keys referenced_tweets.id.author_id username"
    ),
    "user.fields": _names(
        "affiliation confirmed_email connection_status created_at description entities id"
        " is_identity_verified location most_recent_tweet_id name parody pinned_tweet_id"
        " profile_banner_url profile_image_url protected public_metrics receives_your_dm"
        " subscription subscription_type url username verified verified_followers_count"
        " verified_type withheld"
    ),
    "media.fields": _names(
        "alt_text duration_ms height media_key non_public_metrics organic_metrics preview_image_url"
        " promoted_metrics public_metrics type url variants width"
    ),
    "place.fields": _names("contained_within country country_code full_name geo id name place_type"),
    "poll.fields": _names("duration_minutes end_datetime id options voting_status"),
}
_ALWAYS: dict[str, tuple[str, ...]] = {
    "tweet.fields": ("id", "text", "edit_history_tweet_ids"),
    "user.fields": ("id", "name", "username"),
    "media.fields": ("media_key", "type"),
    "place.fields": ("id", "full_name"),
    "poll.fields": ("id", "options"),
}
# An expansion brings the field that it expands.
_EXPANDED_FIELD = {
    "author_id": "author_id",
    "attachments.media_keys": "attachments",
    "attachments.poll_ids": "attachments",
    "geo.place_id": "geo",
    "in_reply_to_user_id": "in_reply_to_user_id",
    "entities.mentions.username": "entities",
    "referenced_tweets.id": "referenced_tweets",
    "referenced_tweets.id.author_id": "referenced_tweets",
    "referenced_tweets.id.attachments.media_keys": "referenced_tweets",
}


class Selection:
    """The fields and expansions of one request."""

    def __init__(self, parameters: Mapping[str, str]) -> None:
        """Raises ProblemError for a name that X does not know."""
        self.expansions = _requested(parameters, ("expansions",), "expansions")
        if "referenced_posts" in parameters.get("expansions", "").split(","):
            # The newer spelling has no name of its own for the referenced posts' authors.
            self.expansions |= {
                "referenced_tweets.id.author_id",
                "referenced_tweets.id.attachments.media_keys",
            }
        posts = _requested(parameters, ("tweet.fields", "post.fields"), "tweet.fields")
        posts.update(_EXPANDED_FIELD[name] for name in self.expansions if name in _EXPANDED_FIELD)
        self._post = _keys("tweet.fields", posts)
        self._user = _keys("user.fields", _requested(parameters, ("user.fields",), "user.fields"))
        self._media = _keys("media.fields", _requested(parameters, ("media.fields",), "media.fields"))
        self._place = _keys("place.fields", _requested(parameters, ("place.fields",), "place.fields"))
        self._poll = _keys("poll.fields", _requested(parameters, ("poll.fields",), "poll.fields"))

    def apply(self, message: Message) -> Message:
        """The part of a whole message that was asked for. Empty parts are left out, as X does."""
        data = message["data"]
        cut: Message = {"data": _cut(data, self._post)}
        if not self.expansions:
            return cut
        if "includes" in message and (includes := self._includes(data, message["includes"])):
            cut["includes"] = includes
        errors = [error for error in message.get("errors", ()) if self._concerns(error)]
        if errors:
            cut["errors"] = errors
        return cut

    def _includes(self, data: Message, given: Message) -> Message:
        wanted = self.expansions
        referring = {"referenced_tweets.id", "referenced_tweets.id.author_id"} & wanted
        post_ids: set[str] = set()
        user_ids: set[str | None] = set()
        media_keys: set[str] = set()
        posts = {post.get("id"): post for key in ("tweets", "posts") for post in given.get(key, ())}
        referenced = _first(data, "referenced_tweets") or ()
        originals = [posts[one["id"]] for one in referenced if one.get("id") in posts]
        if referring:
            post_ids.update(post["id"] for post in originals)
        if "edit_history_tweet_ids" in wanted:
            post_ids.update(_first(data, "edit_history_tweet_ids") or ())
        for expansion, key in (("author_id", "author_id"), ("in_reply_to_user_id", "in_reply_to_user_id")):
            if expansion in wanted:
                user_ids.add(data.get(key))
        if "referenced_tweets.id.author_id" in wanted:
            user_ids.update(post.get("author_id") for post in originals)
        names: set[str] = set()
        if "entities.mentions.username" in wanted:
            names.update(_mentioned(data))
        if "entities.note.mentions.username" in wanted:
            names.update(_mentioned(_first(data, "note_tweet") or {}))
        if "attachments.media_keys" in wanted:
            media_keys.update((data.get("attachments") or {}).get("media_keys") or ())
        if "referenced_tweets.id.attachments.media_keys" in wanted:
            for post in originals:
                media_keys.update((post.get("attachments") or {}).get("media_keys") or ())
        found: Message = {}
        for key, items in given.items():
            kept: list[Message] = []
            if key == "users":
                chosen = (
                    user for user in items if user.get("id") in user_ids or user.get("username") in names
                )
                kept = [_cut(user, self._user) for user in chosen]
            elif key in ("tweets", "posts"):
                kept = [_cut(post, self._post) for post in items if post.get("id") in post_ids]
            elif key == "media":
                kept = [_cut(item, self._media) for item in items if item.get("media_key") in media_keys]
            elif key == "places" and "geo.place_id" in wanted:
                kept = [_cut(item, self._place) for item in items]
            elif key == "polls" and "attachments.poll_ids" in wanted:
                kept = [_cut(item, self._poll) for item in items]
            if kept:
                found[key] = kept
        return found

    def _concerns(self, error: Message) -> bool:
        parameter = error.get("parameter")
        return parameter is None or expansion_of(parameter) in self.expansions


def _requested(parameters: Mapping[str, str], names: Iterable[str], known_as: str) -> set[str]:
    turn = expansion_of if known_as == "expansions" else field_of
    found = set()
    for parameter in names:
        for value in filter(None, parameters.get(parameter, "").split(",")):
            name = turn(value.strip())
            if name not in _KNOWN[known_as]:
                choices = ",".join(sorted(_KNOWN[known_as]))
                message = f"The `{parameter}` query parameter value [{value}] is not one of [{choices}]"
                raise invalid_request(parameter, value, message)
            found.add(name)
    return found


def _keys(kind: str, names: set[str]) -> frozenset[str]:
    return frozenset(key for name in names | set(_ALWAYS[kind]) for key in both_spellings(name))


def _cut(item: Message, keys: frozenset[str]) -> Message:
    return {key: value for key, value in item.items() if key in keys}


def _first(post: Message, name: str) -> Any:
    return next((post[key] for key in both_spellings(name) if key in post), None)


def _mentioned(post: Message) -> set[str]:
    return {one.get("username", "") for one in (post.get("entities") or {}).get("mentions") or ()}
