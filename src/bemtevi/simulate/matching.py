"""Does a post match a rule?

Owns: what a rule looks at in a post (its own text, its long text, the post it quotes or reposts) and the
two readings of the same rule: the stream's, exact in diacritics and looking into quoted posts, and search's,
blind to diacritics and to quoted posts. Rules are compiled once; a post is read once.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

from bemtevi.simulate.rules import LETTERS, And, Node, Or, Term
from bemtevi.simulate.spelling import both_spellings

Predicate = Callable[["Subject", int], bool]

_WORD: Final = re.compile(f"[{LETTERS}]+")
# Thai and Lao, Burmese, Khmer, kana, Han.
_UNSPACED: Final = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_REFERENCES: Final = both_spellings("referenced_tweets")
_NOTES: Final = both_spellings("note_tweet")


class Subject:
    """What rules may ask of one post, worked out once."""

    __slots__ = (
        "author",
        "conversation",
        "flags",
        "language",
        "mentions",
        "reposted",
        "tags",
        "to",
        "urls",
        "words",
    )

    def __init__(self, message: dict[str, Any], *, search: bool = False) -> None:
        data = message["data"]
        includes = message.get("includes", {})
        fold = _fold_search if search else _fold
        users = {user.get("id"): user for user in includes.get("users", ())}
        posts = {
            post["id"]: post for key in ("tweets", "posts") for post in includes.get(key, ()) if "id" in post
        }
        references = [reference for name in _REFERENCES for reference in data.get(name) or ()]
        kinds = {reference["type"] for reference in references}
        looked_at = [data]
        for reference in references:
            into = reference["type"] == "retweeted" or (reference["type"] == "quoted" and not search)
            if into and reference["id"] in posts:
                looked_at.append(posts[reference["id"]])
        own = looked_at[:1] if "retweeted" not in kinds else looked_at
        texts: list[str] = []
        urls: list[str] = []
        tags: set[str] = set()
        cashtags: set[str] = set()
        mentions: set[str] = set()
        for post in looked_at:
            for part in (post, *(post[name] for name in _NOTES if name in post)):
                texts.append(part.get("text", ""))
                entities = part.get("entities") or {}
                tags.update(fold(tag["tag"]) for tag in entities.get("hashtags", ()))
                cashtags.update("$" + fold(tag["tag"]) for tag in entities.get("cashtags", ()))
                mentions.update(one.get("username", "").lower() for one in entities.get("mentions", ()))
                for url in entities.get("urls", ()):
                    urls += [
                        url.get("expanded_url") or "",
                        url.get("unwound_url") or "",
                        url.get("url") or "",
                    ]
        self.tags = frozenset(tags | cashtags)
        self.words = _apart(fold(text) for text in texts)
        self.language = data.get("lang", "")
        self.author = _names(users.get(data.get("author_id")), data.get("author_id"))
        self.to = _names(users.get(data.get("in_reply_to_user_id")), data.get("in_reply_to_user_id"))
        self.mentions = frozenset(mentions)
        self.urls = _apart(fold(url) for url in urls)
        self.conversation = data.get("conversation_id", "")
        self.reposted = _reposted(references, posts, users)
        self.flags = _flags(data, own, includes, kinds, users.get(data.get("author_id")))


def compile_rule(node: Node, *, search: bool = False) -> Predicate:
    """A function that says whether a subject (made for the same reading) matches."""
    if isinstance(node, Term):
        predicate = _compile_term(node, _fold_search if search else _fold)
        if node.negated:
            return lambda subject, identity: not predicate(subject, identity)
        return predicate
    parts = [compile_rule(part, search=search) for part in node.parts]
    if isinstance(node, And):
        return lambda subject, identity: all(part(subject, identity) for part in parts)
    return lambda subject, identity: any(part(subject, identity) for part in parts)


class CompiledRules:
    """Many rules at once: only those whose hashtag a post carries are tried."""

    def __init__(self, trees: Iterable[tuple[str, Node]]) -> None:
        """`trees` are rule ids with their trees; hits are answered in that order."""
        self.by_chance = False
        self._always: list[tuple[int, str, Predicate]] = []
        self._by_tag: dict[str, list[tuple[int, str, Predicate]]] = {}
        for place, (rule_id, tree) in enumerate(trees):
            entry = (place, rule_id, compile_rule(tree))
            self.by_chance = self.by_chance or has_sample(tree)
            anchors = _anchors(tree)
            if anchors is None:
                self._always.append(entry)
            for tag in anchors or ():
                self._by_tag.setdefault(tag, []).append(entry)

    def hits(self, subject: Subject, identity: int) -> tuple[str, ...]:
        """The ids of the rules that match. It depends on the post's id only when `by_chance` is true."""
        candidates = {entry[0]: entry for tag in subject.tags for entry in self._by_tag.get(tag, ())}
        tried: Sequence[tuple[int, str, Predicate]] = [*self._always, *candidates.values()]
        found = [(place, rule_id) for place, rule_id, matches in tried if matches(subject, identity)]
        found.sort()
        return tuple(rule_id for _, rule_id in found)


def _compile_term(term: Term, fold: Callable[[str], str]) -> Predicate:
    kind, value = term.kind, term.value
    folded = fold(value)
    if kind == "#":
        return lambda subject, _: folded in subject.tags
    if kind == "$":
        return lambda subject, _: "$" + folded in subject.tags
    if kind in ("keyword", "phrase", "url"):
        tokens = _spaced(folded)
        if kind == "url":
            return lambda subject, _: tokens in subject.urls
        if _UNSPACED.search(folded):  # no spaces between words there: anywhere in a run will do
            bare = tokens.strip()
            return lambda subject, _: bare in subject.words
        return lambda subject, _: tokens in subject.words
    name = value.lower()
    if kind == "@":
        return lambda subject, _: name in subject.mentions
    if kind == "from":
        return lambda subject, _: name in subject.author
    if kind == "to":
        return lambda subject, _: name in subject.to
    if kind == "retweets_of":
        return lambda subject, _: name in subject.reposted
    if kind == "conversation_id":
        return lambda subject, _: subject.conversation == value
    if kind == "lang":
        return lambda subject, _: subject.language == value
    if kind == "sample":
        percent = int(value)
        # Spread by a multiplication, so that the low bits of consecutive ids do not decide.
        return lambda _, identity: (identity * 0x9E3779B97F4A7C15 >> 40) % 100 < percent
    flag = f"{kind}:{name}"
    return lambda subject, _: flag in subject.flags


def _anchors(node: Node) -> frozenset[str] | None:
    """Hashtags of which a matching post must carry one; nothing when there are no such."""
    if isinstance(node, Term):
        return frozenset({_fold(node.value)}) if node.kind == "#" and not node.negated else None
    found = [_anchors(part) for part in node.parts]
    known = [anchors for anchors in found if anchors is not None]
    if isinstance(node, Or):
        return frozenset().union(*known) if len(known) == len(found) else None
    return min(known, key=len) if known else None


def has_sample(node: Node) -> bool:
    """Does chance take part in this rule?"""
    return node.kind == "sample" if isinstance(node, Term) else any(map(has_sample, node.parts))


def _flags(
    data: dict[str, Any],
    own: list[dict[str, Any]],
    includes: dict[str, Any],
    kinds: set[str],
    author: dict[str, Any] | None,
) -> frozenset[str]:
    flags = set()
    for kind, flag in (("retweeted", "is:retweet"), ("replied_to", "is:reply"), ("quoted", "is:quote")):
        if kind in kinds:
            flags.add(flag)
    if author and author.get("verified"):
        flags.add("is:verified")
    for post in own:
        for part in (post, *(post[name] for name in _NOTES if name in post)):
            entities = part.get("entities") or {}
            for name in ("hashtags", "cashtags", "mentions"):
                if entities.get(name):
                    flags.add(f"has:{name}")
            if entities.get("urls"):
                flags.add("has:links")
        keys = set((post.get("attachments") or {}).get("media_keys") or ())
        if keys:
            flags.add("has:media")
        kinds_of_media = {
            item.get("type") for item in includes.get("media", ()) if item.get("media_key") in keys
        }
        if "photo" in kinds_of_media:
            flags.add("has:images")
        if kinds_of_media & {"video", "animated_gif"}:
            flags.add("has:videos")
    if data.get("geo"):
        flags.add("has:geo")
    return _shared(frozenset(flags))


def _reposted(
    references: list[dict[str, Any]], posts: dict[str, dict[str, Any]], users: dict[Any, dict[str, Any]]
) -> tuple[str, ...]:
    for reference in references:
        if reference["type"] == "retweeted" and reference["id"] in posts:
            author = posts[reference["id"]].get("author_id")
            return _names(users.get(author), author)
    return ()


def _names(user: dict[str, Any] | None, identity: str | None) -> tuple[str, ...]:
    return tuple(name for name in (user and user.get("username", "").lower(), identity) if name)


def _spaced(text: str) -> str:
    return f" {' '.join(_WORD.findall(text))} "


def _apart(texts: Iterable[str]) -> str:
    # Two spaces stand between texts, so that no phrase reaches from one into the next.
    return "".join(map(_spaced, texts))


@lru_cache(maxsize=4_096)
def _shared(flags: frozenset[str]) -> frozenset[str]:
    return flags


def _fold(text: str) -> str:
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text.lower())


def _fold_search(text: str) -> str:
    if text.isascii():
        return text.lower()
    plain = (c for c in unicodedata.normalize("NFD", text.lower()) if not "\u0300" <= c <= "\u036f")
    return unicodedata.normalize("NFC", "".join(plain))
