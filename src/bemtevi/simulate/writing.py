"""The words and parts of one invented post.

Owns: text, tags, links, media, places and the plain fields of a post that somebody writes. How posts refer
to each other is decided in `posts`.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from bemtevi.simulate import words
from bemtevi.simulate.authors import Authors, User
from bemtevi.simulate.snowflake import ELSEWHERE, identity_at, timestamp
from bemtevi.simulate.text import VISIBLE, Draft, cut

Message = dict[str, Any]

TAG_EXPONENT = -0.65
EDIT_WINDOW = timedelta(minutes=30)
EDIT_LIMIT = 5

_TAG_COUNTS = (1, 2, 3, 4, 5, 6, 8, 12)
_TAG_COUNT_WEIGHTS = (30, 26, 18, 11, 6, 4, 3, 2)


class Writer:
    """Writes what people would write; all its chances come from one source."""

    def __init__(self, chance: random.Random, topics: Sequence[str], focus: float, authors: int) -> None:
        self.about: str | None = None  # the topic to write about, when it is not left to chance
        self._chance = chance
        self._topics = topics
        self._focus = focus if topics else 0.0
        self._author_count = authors
        self._authors: Authors | None = None
        self._elsewhere = 0
        stems = words.TAIL_STEMS
        self._tail = [one + two for one, two in itertools.product(stems, stems) if one != two]
        self._chance.shuffle(self._tail)
        self._tail_weights = _falling(len(self._tail))
        self._topic_weights = _falling(len(self._topics))
        self._languages = tuple(words.LANGUAGES)
        shares = (words.LANGUAGES[code].share for code in self._languages)
        self._language_weights = list(itertools.accumulate(shares))
        self._tag_weights = {code: _falling(len(words.LANGUAGES[code].tags)) for code in self._languages}

    def someone(self, now: datetime) -> User:
        """An author; the people are made at the first call."""
        if self._authors is None:
            self._authors = Authors(self._chance, self._author_count, now)
        return self._authors.pick()

    def bare(self, identity: int, now: datetime, author: User, language: str) -> Message:
        chance = self._chance
        name = str(identity)
        data: Message = {
            "id": name,
            "text": "",
            "created_at": timestamp(now),
            "author_id": author["id"],
            "lang": language,
            "conversation_id": name,
            "edit_history_tweet_ids": [name],
            "edit_controls": {
                "edits_remaining": EDIT_LIMIT,
                "is_edit_eligible": True,
                "editable_until": timestamp(now + EDIT_WINDOW),
            },
            "public_metrics": {
                "retweet_count": 0,
                "reply_count": 0,
                "like_count": 0,
                "quote_count": 0,
                "bookmark_count": 0,
                "impression_count": chance.choice((0, 0, 0, 1, 2, 7)),
            },
            "possibly_sensitive": chance.random() < 0.02,
            "reply_settings": "everyone",
        }
        if chance.random() < 0.85:
            data["source"] = chance.choices(words.SOURCES, words.SOURCE_SHARES)[0]
        if chance.random() < 0.002:
            data["withheld"] = {"copyright": False, "country_codes": ["IN", "TR"][: chance.randrange(1, 3)]}
        return data

    def written(
        self,
        identity: int,
        now: datetime,
        author: User,
        draft: Draft,
        *,
        tagged: bool = True,
        quoted: tuple[User, Message] | None = None,
    ) -> Message:
        """A post with words of its own."""
        chance = self._chance
        code = chance.choices(self._languages, cum_weights=self._language_weights)[0]
        language = words.LANGUAGES[code]
        data = self.bare(identity, now, author, code)
        includes: Message = {"users": [author]}
        tags = self._tags(code) if tagged else []
        long = chance.random() < 0.025 and len(language.words) > 12
        inline = chance.random() < 0.3 and not long
        self._sentence(draft, language, tags if inline else [], 60 if long else 0)
        if chance.random() < 0.1:
            mentioned = self.someone(now)
            draft.mention(mentioned)
            add_user(includes, mentioned)
        if not inline:
            for tag in tags:
                self._put_tag(draft, tag, code)
        if chance.random() < 0.25:
            self._put_link(draft)
        if chance.random() < 0.18:
            self._put_media(draft, data, includes, author, now)
        if quoted:
            short = self._short()
            user, data_quoted = quoted
            path = f"x.com/{user['username']}/status/{data_quoted['id']}"
            draft.link(short, f"https://{path}", path[:26] + "…")
        self._set_text(data, draft)
        self._put_rarities(data, includes)
        return {"data": data, "includes": includes}

    def _sentence(self, draft: Draft, language: words.Language, tags: list[str], least: int) -> None:
        chance = self._chance
        count = chance.randrange(least, least + 60) if least else chance.choice((3, 5, 8, 11, 14, 18, 24, 30))
        count = min(count, 6) if len(language.words) < 12 else count
        count = count if language.words else 0
        spots: dict[int, list[str]] = {}
        for tag in tags:
            spots.setdefault(chance.randrange(max(count, 1)), []).append(tag)
        for spot, word in enumerate(chance.choices(language.words, k=count) if count else ("",)):
            if word:
                draft.put(word, language.joiner)
            for tag in spots.get(spot, ()):
                self._put_tag(draft, tag, "")
        draw = chance.random()
        if draw < 0.04:
            draft.put("&amp;")
            draft.put(chance.choice(language.words or ("mais",)))
        elif draw < 0.05:
            draft.put("&gt;&gt; &lt;3")
        elif draw < 0.3:
            draft.put(chance.choice(words.EMOJI) * chance.choice((1, 1, 2, 3)))

    def _tags(self, code: str) -> list[str]:
        chance = self._chance
        tags: list[str] = []
        if self.about is not None:
            tags.append(self.about)
        elif chance.random() < self._focus:
            tags.append(chance.choices(self._topics, cum_weights=self._topic_weights)[0])
        elif chance.random() < 0.55:
            return tags
        wanted = chance.choices(_TAG_COUNTS, _TAG_COUNT_WEIGHTS)[0]
        local, weights = words.LANGUAGES[code].tags, self._tag_weights[code]
        while len(tags) < wanted:
            if chance.random() < 0.5:
                tag = chance.choices(local, cum_weights=weights)[0]
            else:
                tag = chance.choices(self._tail, cum_weights=self._tail_weights)[0]
            if tag not in tags:
                tags.append(tag)
            else:
                wanted -= 1
        if chance.random() < 0.06:
            tags.append(chance.choice(tags))
        return [self._variant(tag) if chance.random() < 0.05 else tag for tag in tags]

    def _variant(self, tag: str) -> str:
        return self._chance.choice((str.upper, str.lower, str.capitalize))(tag)

    def _put_tag(self, draft: Draft, tag: str, code: str) -> None:
        draft.tag(tag, "＃" if self._chance.random() < (0.12 if code == "ja" else 0.004) else "#")

    def _put_link(self, draft: Draft) -> None:
        chance = self._chance
        path = f"{chance.choice(words.DOMAINS)}/{chance.randrange(2020, 2027)}/{chance.randrange(10**6)}"
        more: Message = {}
        if chance.random() < 0.3:
            more = {"status": 200, "title": "Notícia do dia", "unwound_url": f"https://{path}"}
        draft.link(self._short(), f"https://{path}?ref=x", path[:26] + "…", **more)

    def _put_media(self, draft: Draft, data: Message, includes: Message, author: User, now: datetime) -> None:
        chance = self._chance
        video = chance.random() < 0.25
        items = []
        for _ in range(1 if video else chance.choice((1, 1, 1, 2, 4))):
            identity = self.elsewhere_id(now - timedelta(seconds=20))
            url = f"https://images.example/media/{identity}.jpg"
            item: Message = {"height": 1280, "width": 720}
            if video:
                item |= {"media_key": f"7_{identity}", "type": "video", "preview_image_url": url}
                item |= {"duration_ms": chance.randrange(3_000, 140_000), "public_metrics": {"view_count": 0}}
                variant = {"bit_rate": 950_000, "content_type": "video/mp4", "url": url[:-3] + "mp4"}
                item["variants"] = [variant]
            else:
                item |= {"media_key": f"3_{identity}", "type": "photo", "url": url}
                if chance.random() < 0.2:
                    item["alt_text"] = "Uma foto inventada"
            items.append(item)
        data["attachments"] = {"media_keys": [item["media_key"] for item in items]}
        includes["media"] = items
        path = f"x.com/{author['username']}/status/{data['id']}/{'video' if video else 'photo'}/1"
        short = self._short()
        draft.link(short, f"https://{path}", "pic.x.com/" + short[-10:], media_key=items[0]["media_key"])

    def _set_text(self, data: Message, draft: Draft) -> None:
        text = draft.text
        if len(text) > VISIBLE:
            data["note_tweet"] = {"text": text}
            if draft.entities:
                data["note_tweet"]["entities"] = draft.entities
            text, entities = cut(text, draft.entities, VISIBLE - 25)
            short = self._short()
            path = f"x.com/i/web/status/{data['id']}"
            link = {"start": len(text) + 1, "end": len(text) + 1 + len(short), "url": short}
            link |= {"expanded_url": f"https://{path}", "display_url": path[:26] + "…"}
            entities["urls"] = [*entities.get("urls", ()), link]
            data["text"], data["entities"] = f"{text} {short}", entities
        else:
            data["text"] = text
            if draft.entities:
                data["entities"] = draft.entities

    def _put_rarities(self, data: Message, includes: Message) -> None:
        chance = self._chance
        if chance.random() < 0.15:
            chosen = chance.sample(words.ANNOTATIONS, chance.choice((1, 1, 2)))
            data["context_annotations"] = [
                {
                    "domain": {"id": domain, "name": name, "description": description},
                    "entity": {"id": entity, "name": label},
                }
                for domain, name, description, entity, label in chosen
            ]
        if chance.random() < 0.012:
            index = chance.randrange(len(words.PLACES))
            name, full, country, country_code, kind, *box = words.PLACES[index]
            place_id = f"{index:02d}a5b1dba7c2ee0f"
            data["geo"] = {"place_id": place_id}
            if chance.random() < 0.2:
                data["geo"]["coordinates"] = {"type": "Point", "coordinates": box[:2]}
            place: Message = {"id": place_id, "name": name, "full_name": full, "country": country}
            place |= {"country_code": country_code, "place_type": kind}
            place["geo"] = {"type": "Feature", "bbox": box, "properties": {}}
            includes["places"] = [place]
        if chance.random() < 0.004:
            poll_id = str(self._elsewhere_id_like(data["id"]))
            data.setdefault("attachments", {})["poll_ids"] = [poll_id]
            options = [
                {"position": n, "label": label, "votes": 0} for n, label in enumerate(("sim", "não"), 1)
            ]
            poll = {"id": poll_id, "options": options, "voting_status": "open", "duration_minutes": 1_440}
            includes["polls"] = [poll]

    def elsewhere_id(self, moment: datetime) -> int:
        self._elsewhere = (self._elsewhere + 1) % ELSEWHERE
        return identity_at(moment, ELSEWHERE | self._elsewhere)

    def _elsewhere_id_like(self, identity: str) -> int:
        self._elsewhere = (self._elsewhere + 1) % ELSEWHERE
        return (int(identity) | (2 * ELSEWHERE - 1)) ^ self._elsewhere

    def _short(self) -> str:
        return f"https://t.co/{self._chance.getrandbits(40):010x}"


def add_user(includes: Message, user: User) -> None:
    if all(user["id"] != other["id"] for other in includes["users"]):
        includes["users"].append(user)


def _falling(count: int) -> list[float]:
    """Cumulative weights of ranks 1..count."""
    return list(itertools.accumulate(rank**TAG_EXPONENT for rank in range(1, count + 1)))
