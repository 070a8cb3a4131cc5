"""Search and counts, recent or of all time, over the posts produced so far.

Owns: X's parameters, windows and pages. Rules are read in search's way: diacritics ignored, quoted text not
looked at, and no reposts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any

from bemtevi.simulate.fields import Selection
from bemtevi.simulate.matching import Predicate, compile_rule, has_sample
from bemtevi.simulate.problems import invalid_request
from bemtevi.simulate.rules import RuleSyntaxError, parse
from bemtevi.simulate.snowflake import identity_at, time_of
from bemtevi.simulate.spelling import Spelling
from bemtevi.simulate.template import Template
from bemtevi.simulate.world import World

QUERY_LENGTH = 512
PAGE_SIZE = 100
ALL_QUERY_LENGTH = 1_024
ALL_PAGE_SIZE = 500
_STEPS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
_PAGE_PREFIX = "b26v89c19zqg8o3f"
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


class Search:
    """Answers queries about one world."""

    def __init__(
        self,
        world: World,
        *,
        delay: float = 30.0,
        days: float | None = 7.0,
        spelling: Spelling = "tweet",
        query_length: int = QUERY_LENGTH,
        page_size: int = PAGE_SIZE,
    ) -> None:
        """Posts younger than `delay` seconds are not found unless `end_time` asks for them, as at X. The last
        two are what X allows at most."""
        self._world = world
        self._query_length = query_length
        self._page_size = page_size
        self._delay = timedelta(seconds=delay)
        self._days = None if days is None else timedelta(days=days)
        self._counted = "post_count" if spelling == "post" else "tweet_count"

    def page(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        """`GET /2/tweets/search/…`: one page, newest first."""
        matches = _query(parameters, self._query_length)
        size = _number(parameters, "max_results", 10, 10, self._page_size)
        selection = Selection(parameters)
        after, before = self._window(parameters)
        found: list[tuple[int, Template]] = []
        more = False
        for identity, template in self._matching(matches, after, before):
            if len(found) == size:
                more = True
                break
            found.append((identity, template))
        page = _page([selection.apply(template.message(identity)) for identity, template in found])
        meta: dict[str, Any] = {"result_count": len(found)}
        if found:
            meta |= {"newest_id": str(found[0][0]), "oldest_id": str(found[-1][0])}
        if more:
            meta["next_token"] = _token(found[-1][0])
        return page | {"meta": meta}

    def counts(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        """`GET /2/tweets/counts/…`: every bucket of the window, also the empty ones."""
        matches = _query(parameters, self._query_length)
        granularity = parameters.get("granularity", "hour")
        if granularity not in _STEPS:
            message = (
                f"The `granularity` query parameter value [{granularity}] is not one of [minute,hour,day]"
            )
            raise invalid_request("granularity", granularity, message)
        after, before = self._window(parameters)
        start, end = time_of(after + 1), time_of(before)
        if after <= 0:
            oldest = next(iter(self._world.archive.newest_first(0, 1)), None)
            start = end - timedelta(days=7) if oldest is None else time_of(oldest[0])
        edges = _edges(start, end, _STEPS[granularity])
        tallies = [0] * (len(edges) - 1)
        place = len(tallies) - 1
        for identity, _ in self._matching(matches, after, before):
            moment = time_of(identity)
            while place and moment < edges[place]:
                place -= 1
            tallies[place] += 1
        data = [
            {"start": _shown(low), "end": _shown(high), self._counted: tally}
            for (low, high), tally in zip(pairwise(edges), tallies, strict=True)
        ]
        return {"data": data, "meta": {"total_" + self._counted: sum(tallies)}}

    def _matching(self, matches: Predicate, after: int, before: int) -> Iterator[tuple[int, Template]]:
        known: dict[Template, bool] = {}
        for identity, template in self._world.archive.newest_first(after, before):
            verdict = known.get(template)
            if verdict is None:
                subject = template.search_subject
                verdict = known[template] = "is:retweet" not in subject.flags and matches(subject, identity)
            if verdict:
                yield identity, template

    def _window(self, parameters: Mapping[str, str]) -> tuple[int, int]:
        """The ids between which posts lie, both outside."""
        now = self._world.clock()
        oldest = None if self._days is None else now - self._days
        for one, other in (("start_time", "since_id"), ("end_time", "until_id")):
            if one in parameters and other in parameters:
                message = f"`{one}` and `{other}` cannot be used together"
                raise invalid_request(one, parameters[one], message)
        after = 0 if oldest is None else identity_at(oldest) - 1
        before = identity_at(now - self._delay)
        if start := _moment(parameters, "start_time"):
            self._check_age(start, oldest, "start_time", parameters["start_time"])
            after = identity_at(start) - 1
        elif "since_id" in parameters:
            after = _identity(parameters, "since_id")
            self._check_age(time_of(after), oldest, "since_id", parameters["since_id"])
        if end := _moment(parameters, "end_time"):
            if end > now - self._delay / 3:
                message = (
                    f"Invalid 'end_time':'{parameters['end_time']}'. 'end_time' must be a minimum of "
                    f"{self._delay.total_seconds() / 3:.0f} seconds prior to the request time."
                )
                raise invalid_request("end_time", parameters["end_time"], message)
            before = identity_at(end)
        elif "until_id" in parameters:
            before = _identity(parameters, "until_id")
        if after >= before:
            given = parameters.get("start_time") or parameters.get("since_id")
            raise invalid_request("start_time", given, "'start_time' must be before 'end_time'")
        for name in ("next_token", "pagination_token"):
            if name in parameters:
                before = min(before, _read_token(parameters[name], name))
        return after, before

    def _check_age(self, moment: datetime, oldest: datetime | None, name: str, given: str) -> None:
        # A minute's grace: a window asked for as "seven days" was computed a moment ago.
        if oldest is not None and moment < oldest - timedelta(minutes=1):
            message = f"Invalid '{name}':'{given}'. '{name}' must be on or after {_shown(oldest)}."
            raise invalid_request(name, given, message)


def _page(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Many messages as one page: `includes` and `errors` are shared."""
    includes: dict[str, dict[str, Any]] = {}
    errors: dict[str, Any] = {}
    for message in messages:
        for kind, items in message.get("includes", {}).items():
            known = includes.setdefault(kind, {})
            for item in items:
                known.setdefault(item.get("id") or item["media_key"], item)
        for error in message.get("errors", ()):
            errors.setdefault(str(error.get("value")), error)
    page: dict[str, Any] = {}
    if messages:
        page["data"] = [message["data"] for message in messages]
    if includes:
        page["includes"] = {kind: list(items.values()) for kind, items in includes.items()}
    if errors:
        page["errors"] = list(errors.values())
    return page


@lru_cache(maxsize=256)
def _compiled(query: str, longest: int) -> Predicate:
    tree = parse(query, longest)
    if has_sample(tree):
        raise RuleSyntaxError("Reference to invalid operator 'sample'. It is not available in search")
    return compile_rule(tree, search=True)


def _query(parameters: Mapping[str, str], longest: int) -> Predicate:
    query = parameters.get("query", "")
    if not query:
        raise invalid_request("query", "", "The `query` query parameter can not be empty")
    if len(query) > longest:
        message = (
            f"The `query` query parameter is too long: {len(query)} characters, the maximum is {longest}"
        )
        raise invalid_request("query", query, message)
    try:
        return _compiled(query, longest)
    except RuleSyntaxError as why:
        message = f"There were errors processing your request: {why}"
        raise invalid_request("query", query, message) from why


def _number(parameters: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    given = parameters.get(name, str(default))
    if not (given.isascii() and given.isdigit() and least <= int(given) <= most):
        message = f"The `{name}` query parameter value [{given}] is not between {least} and {most}"
        raise invalid_request(name, given, message)
    return int(given)


def _identity(parameters: Mapping[str, str], name: str) -> int:
    return _number(parameters, name, 0, 0, 2**63 - 1)


def _moment(parameters: Mapping[str, str], name: str) -> datetime | None:
    given = parameters.get(name)
    if given is None:
        return None
    message = f"The `{name}` query parameter value [{given}] is not a valid RFC3339 date-time"
    if not _TIME.fullmatch(given):
        raise invalid_request(name, given, message)
    try:
        return datetime.fromisoformat(given).astimezone(UTC)
    except ValueError as error:
        raise invalid_request(name, given, message) from error


def _edges(start: datetime, end: datetime, step: timedelta) -> list[datetime]:
    """The window's start, every full step inside it, its end."""
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    edge = midnight + (start - midnight) // step * step + step
    edges = [start]
    while edge < end:
        edges.append(edge)
        edge += step
    return [*edges, end]


def _shown(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1_000:03d}Z"


def _token(identity: int) -> str:
    digits = ""
    while identity:
        identity, digit = divmod(identity, 36)
        digits = _DIGITS[digit] + digits
    return _PAGE_PREFIX + digits


def _read_token(token: str, name: str) -> int:
    if not re.fullmatch(_PAGE_PREFIX + "[0-9a-z]{1,13}", token):
        raise invalid_request(name, token, f"The `{name}` query parameter value [{token}] is not valid")
    return int(token.removeprefix(_PAGE_PREFIX), 36)
