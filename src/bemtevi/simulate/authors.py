"""The people of the simulated world.

Owns: who posts, how often, and how a profile looks and slowly changes. Posts are made elsewhere.
"""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from bemtevi.simulate import words
from bemtevi.simulate.snowflake import ELSEWHERE, identity_at, timestamp

User = dict[str, Any]

_FIRST_DAY = datetime(2009, 1, 1, tzinfo=UTC)
_SNOWFLAKE_USERS_SINCE = datetime(2015, 11, 1, tzinfo=UTC)
_ASCII = str.maketrans("áâãàçéêíóôõúüÁÉÍÓÚÂÊÔ", "aaaaceeiooouuAEIOUAEO")
PROFILE_CHANGE = 0.004
COUNTS_CHANGE = 0.2


class Authors:
    """A fixed number of people; a few of them write most of the posts."""

    def __init__(self, chance: random.Random, count: int, born_before: datetime) -> None:
        self._chance = chance
        span = int((born_before - _FIRST_DAY).total_seconds())
        self.users: list[User] = [self._invent(number, span) for number in range(count)]
        self._cumulative = list(itertools.accumulate((rank + 3) ** -0.65 for rank in range(count)))

    def pick(self) -> User:
        """Someone, by how much they write; now and then with a profile that has changed."""
        chance = self._chance
        index = chance.choices(range(len(self.users)), cum_weights=self._cumulative)[0]
        user = self.users[index]
        draw = chance.random()
        if draw < COUNTS_CHANGE:
            user = self.users[index] = self._changed(user, profile=draw < PROFILE_CHANGE)
        return user

    def _invent(self, number: int, span: int) -> User:
        chance = self._chance
        first, last = chance.choice(words.FIRST_NAMES), chance.choice(words.LAST_NAMES)
        created = _FIRST_DAY + timedelta(seconds=chance.randrange(span))
        if created >= _SNOWFLAKE_USERS_SINCE:
            identity = identity_at(created, ELSEWHERE | number)
        else:
            identity = 20_000_000 + number * 1_000 + chance.randrange(1_000)
        followers = int(chance.paretovariate(0.75) * 40)
        verified = chance.random() < 0.06
        user: User = {
            "id": str(identity),
            "name": f"{first} {last}" if chance.random() < 0.8 else f"{first} {chance.choice(words.EMOJI)}",
            "username": f"{first}{last[:5]}".translate(_ASCII)[:10] + str(number),
            "created_at": timestamp(created),
            "description": self._description(),
            "profile_image_url": f"https://images.example/face/{identity}.jpg",
            "protected": False,
            "verified": verified,
            "public_metrics": {
                "followers_count": min(followers, 30_000_000),
                "following_count": chance.randrange(5_000),
                "tweet_count": chance.randrange(60_000),
                "listed_count": followers // 90,
            },
        }
        if verified:
            user["verified_type"] = "blue"
        if chance.random() < 0.65:
            user["location"] = chance.choice(words.LOCATIONS)
        if chance.random() < 0.3:
            domain = chance.choice(words.DOMAINS)
            short = f"https://t.co/{identity % 36**10:010d}"
            user["url"] = short
            link = {"start": 0, "end": len(short), "url": short}
            link |= {"expanded_url": f"https://{domain}/{number}", "display_url": f"{domain}/{number}"}
            user["entities"] = {"url": {"urls": [link]}}
        if chance.random() < 0.25:
            user["pinned_tweet_id"] = str(identity_at(created + timedelta(days=1), ELSEWHERE | number))
        if chance.random() < 0.002:
            user["withheld"] = {"country_codes": ["IN"], "scope": "user"}
        return user

    def _changed(self, user: User, *, profile: bool) -> User:
        # A new object: posts already made keep the profile they were made with.
        chance = self._chance
        counts = dict(user["public_metrics"])
        counts["followers_count"] += chance.randrange(-1, 4)
        counts["followers_count"] = max(counts["followers_count"], 0)
        counts["tweet_count"] += 1
        changed = user | {"public_metrics": counts}
        if profile:
            draw = chance.random()
            if draw < 0.5:
                changed["description"] = self._description()
            elif draw < 0.75:
                changed["location"] = chance.choice(words.LOCATIONS)
            elif draw < 0.95:
                changed["name"] = f"{user['name'].split(' ')[0]} {chance.choice(words.LAST_NAMES)}"
            else:
                changed["username"] = f"{user['username'][:12]}_{chance.randrange(10)}"
        return changed

    def _description(self) -> str:
        chance = self._chance
        return " | ".join(chance.sample(words.DESCRIPTION_PARTS, chance.choice((0, 0, 1, 1, 1, 2, 3))))
