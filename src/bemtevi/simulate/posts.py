"""Invented X posts, shaped and spread like real ones.

Owns: what kinds of post there are, how often, and how one message is put together. The same seed and the
same moments give the same posts. How a message is sent, matched or trimmed to the requested fields is not
known here.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from bemtevi.simulate.authors import User
from bemtevi.simulate.snowflake import Snowflakes, milliseconds
from bemtevi.simulate.spelling import Spelling, respell
from bemtevi.simulate.text import REPOST_VISIBLE, Draft, cut
from bemtevi.simulate.writing import EDIT_LIMIT, EDIT_WINDOW, Message, Writer, add_user

DEFAULT_TOPICS = ("covid19", "vacinação", "SaúdePública", "コロナ", "देश")

# Cumulative shares of the kinds of post; what is left are originals.
REPOST, QUOTE, REPLY, EDIT = 0.22, 0.30, 0.47, 0.48
# How often what a post refers to cannot be seen: deleted, protected or suspended.
GONE = {"retweeted": 0.0, "quoted": 0.06, "replied_to": 0.12}


class _Known(NamedTuple):
    """A post that others can refer to."""

    data: Message
    user: User
    media: list[Message]
    created: datetime
    versions: int


class PostGenerator:
    """Makes one stream message after the other; `make` is given the moment."""

    def __init__(
        self,
        seed: int,
        topics: Sequence[str] = DEFAULT_TOPICS,
        *,
        spelling: Spelling = "tweet",
        focus: float = 0.8,
        authors: int = 3_000,
        edits: bool = True,
    ) -> None:
        """`focus` is the share of posts about one of `topics`; the first topic is the most frequent."""
        self.spelling: Spelling = spelling
        self.snowflakes = Snowflakes()
        self._chance = random.Random(seed)
        self._writer = Writer(self._chance, [topic.lstrip("#＃") for topic in topics], focus, authors)
        self._edits = edits
        self._recent: deque[_Known] = deque(maxlen=2_000)

    def make(self, now: datetime, about: str | None = None) -> Message:
        """A whole stream message, without `matching_rules`, created then; `about` sets the topic."""
        now = now.astimezone(UTC)
        self._writer.about = about
        identity = self.snowflakes.take(milliseconds(now))
        author = self._writer.someone(now)
        kind = self._chance.random()
        if kind < REPOST:
            message = self._repost(identity, now, author)
        elif kind < QUOTE:
            message = self._quote(identity, now, author)
        elif kind < REPLY:
            message = self._reply(identity, now, author)
        else:
            earlier = self._editable(now) if kind < EDIT and self._edits else None
            message = self._edit(identity, now, earlier) if earlier else self._original(identity, now, author)
        return respell(message) if self.spelling == "post" else message

    # Kinds of post.

    def _original(self, identity: int, now: datetime, author: User) -> Message:
        message = self._writer.written(identity, now, author, Draft())
        self._remember(message, author, now)
        return message

    def _repost(self, identity: int, now: datetime, author: User) -> Message:
        known = self._something_earlier(now)
        data = self._writer.bare(identity, now, author, known.data["lang"])
        whole = known.data.get("note_tweet", known.data)
        text, entities = cut(
            whole["text"], whole.get("entities", {}), REPOST_VISIBLE, f"RT @{known.user['username']}: "
        )
        who = known.user
        mention = {"start": 3, "end": 4 + len(who["username"]), "username": who["username"], "id": who["id"]}
        data["text"] = text
        data["entities"] = entities | {"mentions": [mention, *entities.get("mentions", ())]}
        data["public_metrics"]["retweet_count"] = known.data["public_metrics"]["retweet_count"]
        return self._referring(data, author, "retweeted", known)

    def _quote(self, identity: int, now: datetime, author: User) -> Message:
        known = self._something_earlier(now)
        draft = Draft()
        silent = self._chance.random() < 0.35  # the tag is in the quoted post alone
        message = self._writer.written(
            identity, now, author, draft, tagged=not silent, quoted=(known.user, known.data)
        )
        quoting = self._referring(message["data"], author, "quoted", known, message["includes"])
        self._remember(quoting, author, now)
        return quoting

    def _reply(self, identity: int, now: datetime, author: User) -> Message:
        known = self._something_earlier(now)
        draft = Draft()
        draft.mention(known.user)
        message = self._writer.written(identity, now, author, draft, tagged=self._chance.random() < 0.7)
        data = message["data"]
        data["in_reply_to_user_id"] = known.user["id"]
        data["conversation_id"] = known.data["conversation_id"]
        return self._referring(data, author, "replied_to", known, message["includes"])

    def _edit(self, identity: int, now: datetime, earlier: _Known) -> Message:
        message = self._writer.written(identity, now, earlier.user, Draft())
        data, before = message["data"], earlier.data
        data["edit_history_tweet_ids"] = [*before["edit_history_tweet_ids"], str(identity)]
        data["conversation_id"] = before["conversation_id"]
        data["edit_controls"] = before["edit_controls"] | {"edits_remaining": EDIT_LIMIT - earlier.versions}
        message["includes"]["tweets"] = [before]
        self._remember(message, earlier.user, earlier.created, earlier.versions + 1)
        return message

    # Posts that others refer to.

    def _referring(
        self, data: Message, author: User, kind: str, known: _Known, includes: Message | None = None
    ) -> Message:
        includes = {"users": [author]} if includes is None else includes
        data["referenced_tweets"] = [{"type": kind, "id": known.data["id"]}]
        gone = self._chance.random() < GONE[kind]
        if gone:
            return {"data": data, "includes": includes, "errors": [_not_found(known.data["id"])]}
        includes["tweets"] = [known.data]
        add_user(includes, known.user)
        if known.media and kind != "replied_to":
            includes["media"] = [*includes.get("media", ()), *known.media]
        return {"data": data, "includes": includes}

    def _something_earlier(self, now: datetime) -> _Known:
        """A post with some success: one that was sent before, or one from before the listening began."""
        chance = self._chance
        if self._recent and chance.random() < 0.5:
            known = chance.choice(self._recent)
            # An object repeated in the stream shows larger counts each time.
            return known._replace(data=known.data | {"public_metrics": self._success()})
        minutes = min(chance.paretovariate(0.6) * 3, 400 * 24 * 60.0)
        created = now - timedelta(minutes=minutes)
        author = self._writer.someone(now)
        message = self._writer.written(self._writer.elsewhere_id(created), created, author, Draft())
        data = message["data"] | {"public_metrics": self._success()}
        return _Known(data, author, message["includes"].get("media", []), created, 1)

    def _success(self) -> Message:
        likes = min(int(self._chance.paretovariate(0.7) * 5), 2_000_000)
        return {
            "retweet_count": 1 + likes // 4,
            "reply_count": likes // 15,
            "like_count": likes,
            "quote_count": likes // 40,
            "bookmark_count": likes // 30,
            "impression_count": likes * 45 + 12,
        }

    def _remember(self, message: Message, author: User, created: datetime, versions: int = 1) -> None:
        media = message["includes"].get("media", [])
        self._recent.append(_Known(message["data"], author, media, created, versions))

    def _editable(self, now: datetime) -> _Known | None:
        if not self._recent:
            return None
        known = self._recent[-1 - self._chance.randrange(min(len(self._recent), 200))]
        fresh = now - known.created < EDIT_WINDOW and known.versions < EDIT_LIMIT
        # A version that has a successor, or that quotes, is not edited again.
        newest = known.data["edit_history_tweet_ids"][-1] == known.data["id"]
        superseded = any(
            known.data["id"] in other.data["edit_history_tweet_ids"][:-1] for other in self._recent
        )
        return (
            known if fresh and newest and not superseded and "referenced_tweets" not in known.data else None
        )


def _not_found(identity: str) -> Message:
    return {
        "resource_type": "tweet",
        "resource_id": identity,
        "parameter": "referenced_tweets.id",
        "value": identity,
        "title": "Not Found Error",
        "detail": f"Could not find tweet with referenced_tweets.id: [{identity}].",
        "type": "https://api.twitter.com/2/problems/resource-not-found",
    }
