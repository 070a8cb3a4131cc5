"""The simulated X over HTTP, as any client meets it."""

from __future__ import annotations

import contextlib
import json
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from tests.support import eventually

from bemtevi.simulate import RunningX, Simulation, read_record, running_x, write_history
from bemtevi.simulate.snowflake import identity_at, time_of

HEADERS = {"Authorization": "Bearer any"}
STREAM = "/2/tweets/search/stream"
RULES = "/2/tweets/search/stream/rules"
RECENT = "/2/tweets/search/recent"
COUNTS = "/2/tweets/counts/recent"
ONE_RULE = [{"value": "#covid19", "tag": "c"}]


class Client:
    """Just enough of a client."""

    def __init__(self, server: RunningX, token: str = "any") -> None:  # noqa: S107
        self.server = server
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str, **parameters: Any) -> requests.Response:
        return self.session.get(self.server.url + path, params=parameters, timeout=30)

    def post(self, path: str, body: Any, **parameters: Any) -> requests.Response:
        return self.session.post(self.server.url + path, json=body, params=parameters, timeout=30)

    def add(self, *values: str) -> Any:
        return self.post(RULES, {"add": [{"value": value, "tag": value} for value in values]}).json()

    @contextlib.contextmanager
    def stream(self, **parameters: Any) -> Iterator[requests.Response]:
        response = requests.get(
            self.server.url + STREAM,
            params=parameters,
            headers=dict(self.session.headers),
            stream=True,
            timeout=30,
        )
        try:
            yield response
        finally:
            response.close()

    def read(self, count: int, **parameters: Any) -> list[dict[str, Any]]:
        with self.stream(**parameters) as response:
            assert response.status_code == 200, response.text
            return list(posts(response, count))


def posts(response: requests.Response, count: int) -> Iterator[dict[str, Any]]:
    lines = (line for line in response.iter_lines(chunk_size=None) if line)
    for _ in range(count):
        yield json.loads(next(lines))


@contextlib.contextmanager
def running(**settings: Any) -> Iterator[Client]:
    with running_x(Simulation(**{"rate": 500, "search_delay": 0, **settings})) as server:
        client = Client(server)
        with client.session:
            yield client


@pytest.fixture(scope="module")
def shared() -> Iterator[Client]:
    with running() as client:
        yield client


@pytest.fixture
def x(shared: Client) -> Iterator[Client]:
    shared.post(RULES, {}, delete_all="true")
    yield shared
    eventually(lambda: not shared.server.world.connections)


# Rules.


def test_rules_are_added_listed_and_deleted(x: Client) -> None:
    empty = x.get(RULES).json()
    assert "data" not in empty
    assert empty["meta"]["result_count"] == 0
    added = x.post(RULES, {"add": [{"value": "#a", "tag": "t"}, {"value": "#b"}]})
    assert added.status_code == 201
    body = added.json()
    assert body["meta"]["summary"] == {"created": 2, "not_created": 0, "valid": 2, "invalid": 0}
    assert "errors" not in body
    assert [set(rule) for rule in body["data"]] == [{"id", "value", "tag"}, {"id", "value"}]
    listed = x.get(RULES).json()
    assert listed["data"] == body["data"]
    assert x.get(RULES, ids=body["data"][1]["id"]).json()["data"] == body["data"][1:]
    by_id = x.post(RULES, {"delete": {"ids": [body["data"][0]["id"], "12"]}})
    assert by_id.status_code == 200
    assert by_id.json()["meta"]["summary"] == {"deleted": 1, "not_deleted": 1}
    assert by_id.json()["errors"][0]["errors"][0]["message"] == "Rule does not exist"
    assert x.post(RULES, {"delete": {"values": ["#b"]}}).json()["meta"]["summary"]["deleted"] == 1
    assert "data" not in x.get(RULES).json()


def test_good_rules_are_kept_beside_bad_ones(x: Client) -> None:
    first = x.add("#a")["data"][0]
    answer = x.post(RULES, {"add": [{"value": "#a"}, {"value": "lang:pt"}, {"value": "#c"}, {"value": "#c"}]})
    assert answer.status_code == 201
    body = answer.json()
    assert [rule["value"] for rule in body["data"]] == ["#c"]
    assert body["meta"]["summary"] == {"created": 1, "not_created": 3, "valid": 1, "invalid": 3}
    duplicate, invalid, again = body["errors"]
    assert duplicate["title"] == again["title"] == "DuplicateRule"
    assert duplicate["id"] == first["id"]
    assert duplicate["type"].endswith("/problems/duplicate-rules")
    assert again["id"] == body["data"][0]["id"]
    assert invalid["type"].endswith("/problems/invalid-rules")
    assert invalid["value"] == "lang:pt"
    assert invalid["details"]


def test_a_dry_run_stores_nothing(x: Client) -> None:
    answer = x.post(RULES, {"add": [{"value": "#a"}, {"value": "("}]}, dry_run="true").json()
    assert answer["meta"]["summary"]["created"] == 1
    assert len(answer["errors"]) == 1
    assert "data" not in x.get(RULES).json()


def test_rules_are_paged(x: Client) -> None:
    x.add(*(f"#t{number}" for number in range(25)))
    found: list[str] = []
    token: dict[str, Any] = {}
    while True:
        page = x.get(RULES, max_results=10, **token).json()
        found += [rule["value"] for rule in page["data"]]
        if "next_token" not in page["meta"]:
            break
        token = {"pagination_token": page["meta"]["next_token"]}
    assert found == [f"#t{number}" for number in range(25)]


def test_the_cap_of_rules(x: Client) -> None:
    x.add(*(f"#t{number}" for number in range(999)))
    body = x.add("#one", "#two")
    assert body["meta"]["summary"]["created"] == 1
    assert body["errors"][0]["type"].endswith("/problems/rule-cap")
    counts = x.get(RULES + "/counts").json()["data"]
    assert counts["project_rules_count"] == counts["cap_per_project"] == "1000"
    assert counts["client_app_rules_count"]["rule_count"] == 1_000


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"add": []},
        {"add": [{}]},
        {"add": [{"value": "#a"}], "delete": {"ids": ["1"]}},
        {"delete": {}},
        [],
    ],
)
def test_a_change_of_rules_that_makes_no_sense(x: Client, body: Any) -> None:
    answer = x.post(RULES, body)
    assert answer.status_code == 400
    assert answer.json()["type"].endswith("/problems/invalid-request")


# The stream.


def test_no_rules_no_stream(x: Client) -> None:
    answer = x.get(STREAM)
    assert answer.status_code == 409
    assert answer.json() == {
        "title": "ConnectionException",
        "detail": "You must define rules using the POST /2/tweets/search/stream/rules endpoint before "
        "connecting to filtered stream.",
        "connection_issue": "RuleConfigurationIssue",
        "type": "https://api.x.com/2/problems/streaming-connection",
    }


def test_a_second_connection_is_refused(x: Client) -> None:
    x.add("#covid19")
    with x.stream() as first:
        assert first.status_code == 200
        second = x.get(STREAM)
        assert second.status_code == 429
        assert second.json() == {
            "title": "ConnectionException",
            "detail": "This stream is currently at the maximum allowed connection limit.",
            "connection_issue": "TooManyConnections",
            "type": "https://api.x.com/2/problems/streaming-connection",
        }
        assert int(second.headers["x-rate-limit-limit"]) == 50
        assert int(second.headers["x-rate-limit-reset"]) > time.time()
    eventually(lambda: not x.server.world.connections)
    assert len(x.read(3)) == 3


def test_only_matching_posts_come_each_once_with_all_its_rules(x: Client) -> None:
    x.add("#covid19", "#covid19 lang:pt", "#vacinação -is:retweet")
    received = x.read(300, **{"tweet.fields": "lang,referenced_tweets"})
    assert len({post["data"]["id"] for post in received}) == 300
    for post in received:
        tags = [rule["tag"] for rule in post["matching_rules"]]
        assert all(rule["id"].isdigit() for rule in post["matching_rules"])
        assert tags
        if "#covid19" in tags:
            assert ("#covid19 lang:pt" in tags) == (post["data"]["lang"] == "pt")
        if tags == ["#vacinação -is:retweet"]:
            assert all(one["type"] != "retweeted" for one in post["data"].get("referenced_tweets", ()))


def test_without_fields_a_post_is_bare(x: Client) -> None:
    x.add("#covid19")
    for post in x.read(20):
        assert set(post) == {"data", "matching_rules"}
        assert set(post["data"]) == {"id", "text", "edit_history_tweet_ids"}


def test_fields_and_expansions_bring_what_they_say(x: Client) -> None:
    x.add("#covid19")
    asked = {
        "tweet.fields": "created_at,referenced_tweets",
        "expansions": "author_id,referenced_tweets.id",
        "user.fields": "location",
    }
    for post in x.read(60, **asked):
        allowed = {"id", "text", "edit_history_tweet_ids", "created_at", "referenced_tweets", "author_id"}
        assert set(post["data"]) <= allowed
        assert [user["id"] for user in post["includes"]["users"]] == [post["data"]["author_id"]]
        assert set(post["includes"]["users"][0]) <= {"id", "name", "username", "location"}
        assert set(post["includes"]) <= {"users", "tweets"}
        referenced = {one["id"] for one in post["data"].get("referenced_tweets", ())}
        assert {one["id"] for one in post["includes"].get("tweets", ())} <= referenced


def test_an_unknown_field_is_refused(x: Client) -> None:
    x.add("#covid19")
    answer = x.get(STREAM, **{"tweet.fields": "created_at,colour"})
    assert answer.status_code == 400
    assert "colour" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize("pool", [0, 200])
def test_a_rule_takes_effect_without_a_reconnect(pool: int) -> None:
    with running(pool=pool, rate=2_000) as x:
        x.add("#vacinação")
        with x.stream() as response:
            for number, post in enumerate(posts(response, 4_000)):
                if number == 500:
                    x.add("#covid19")
                if "#covid19" in [rule["tag"] for rule in post["matching_rules"]]:
                    assert number > 500
                    return
    pytest.fail("the new rule never matched")


def test_lines_end_in_crlf_and_silence_is_filled() -> None:
    with running(keep_alive=0.1, rate=1_000, pool=100, limit=50, topics=("a",), focus=1.0) as x:
        eventually(lambda: x.server.world.exhausted)
        x.add("#a")
        with x.stream() as response:
            time.sleep(0.35)
            assert response.raw.read1(1_000) in (b"\r\n", b"\r\n\r\n", b"\r\n\r\n\r\n")
    with running(keep_alive=0.1, rate=0, pool=100, limit=50, topics=("a",), focus=1.0) as x:
        x.add("#a")
        with x.stream() as response:
            read = b""
            for chunk in response.iter_content(None):
                read += chunk
                if read.endswith(b"\r\n\r\n"):
                    break
            assert read.replace(b"\r\n", b"").count(b"\n") == 0
            assert read.rstrip().count(b"\r\n") + 1 > 30


def test_tokens() -> None:
    with running(token="right") as x:  # noqa: S106
        for header in ({}, {"Authorization": "Basic abc"}, {"Authorization": "Bearer wrong"}):
            answer = requests.get(x.server.url + RULES, headers=header, timeout=30)
            assert answer.status_code == 401
            assert answer.json()["title"] == "Unauthorized"
        assert Client(x.server, "right").get(RULES).status_code == 200


def test_rate_limits_are_enforced_when_asked() -> None:
    with running(enforce_limits=True) as x:
        answers = [x.get("/2/usage/tweets") for _ in range(51)]
        assert [answer.status_code for answer in answers] == [200] * 50 + [429]
        assert answers[49].headers["x-rate-limit-remaining"] == "0"
        assert answers[50].json()["title"] == "Too Many Requests"


def test_unknown_paths_and_methods(x: Client) -> None:
    assert x.get("/2/nothing").status_code == 404
    assert x.get("/2/nothing").json()["title"] == "Not Found"
    assert x.post(RECENT, {}).status_code == 405


# What happened, and what was missed.


def test_the_record_is_what_was_sent_and_what_was_missed(tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    with running(record=record, topics=("a",), focus=1.0, rate=1_000) as x:
        x.add("#a")
        time.sleep(0.3)
        received = [post["data"]["id"] for post in x.read(150)]
        eventually(lambda: not x.server.world.connections)
        time.sleep(0.2)
        received += [post["data"]["id"] for post in x.read(50)]
        eventually(lambda: not x.server.world.connections)
        recorded = read_record(record)
        known = {str(identity) for identity, _ in x.server.world.archive.newest_first(0, 2**63)}
    assert recorded.opened == [1, 2]
    assert recorded.closed == {1: "client", 2: "client"}
    assert recorded.delivered[1][:150] + recorded.delivered[2][:50] == received
    assert len(recorded.missed) > 200
    assert not set(recorded.missed) & set(recorded.ids)
    assert set(recorded.missed) | set(recorded.ids) <= known
    everything = sorted(map(int, [*recorded.missed, *recorded.ids]))
    assert len(everything) == len(set(everything))


def test_with_rate_0_nothing_is_missed(tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    with running(record=record, rate=0, pool=200, limit=3_000, topics=("a",), focus=1.0) as x:
        x.add("#a")
        with x.stream(**{"tweet.fields": "created_at"}) as response:
            eventually(lambda: x.server.world.exhausted)
            expected = read_record(record).ids
            received = [post["data"] for post in posts(response, len(expected))]
    assert [data["id"] for data in received] == expected
    assert len(expected) > 2_000
    assert not read_record(record).missed
    for data in received:
        assert data["created_at"] == time_of(int(data["id"])).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def test_a_reader_that_falls_behind_is_dropped(tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    settings = {
        "record": record,
        "rate": 50_000,
        "pool": 200,
        "buffer": 5_000,
        "topics": ("a",),
        "focus": 1.0,
    }
    with running(**settings) as x:
        x.add("#a")
        with x.stream(expansions="author_id,referenced_tweets.id") as response:
            eventually(lambda: 1 in read_record(record).closed)
            assert response.status_code == 200
        assert read_record(record).closed[1] == "slow reader"
        assert b'{"event":"missed","connection":1,' in record.read_bytes()


def test_stopping_ends_the_streams() -> None:
    with contextlib.ExitStack() as stack:
        with running(topics=("a",)) as x:
            x.add("#a")
            response = stack.enter_context(x.stream())
            lines = response.iter_lines(chunk_size=None)
            assert next(lines)
            started = time.monotonic()
        assert time.monotonic() - started < 5
        for _ in lines:  # a clean end, not an error
            pass


def test_connections_are_listed_and_killed(x: Client) -> None:
    x.add("#covid19")
    with x.stream() as response:
        (active,) = x.get("/2/connections").json()["data"]
        assert active["endpoint_name"] == "filtered_stream"
        killed = x.session.delete(x.server.url + "/2/connections/all", timeout=30).json()["data"]
        assert killed["successful_kills"] == 1
        assert killed["results"] == [{"uuid": active["id"], "success": True}]
        for _ in response.iter_content(None):
            pass
    assert "data" not in x.get("/2/connections").json()
    assert x.get("/2/connections", status="inactive").json()["data"][0]["disconnect_reason"] == "terminated"


def test_connections_are_killed_by_their_endpoint(x: Client) -> None:
    x.add("#covid19")
    with x.stream() as response:
        assert len(x.get("/2/connections", endpoints="filtered_stream").json()["data"]) == 1
        assert "data" not in x.get("/2/connections", endpoints="sample_stream").json()
        for endpoint, killed in (("sample_stream", 0), ("filtered_stream", 1)):
            answer = x.session.delete(f"{x.server.url}/2/connections/{endpoint}", timeout=30)
            assert answer.json()["data"]["successful_kills"] == killed
        for _ in response.iter_content(None):
            pass


def test_usage_counts_what_was_delivered() -> None:
    with running(rate=0, pool=100, limit=100, topics=("a",), focus=1.0) as x:
        x.add("#a")
        with x.stream():
            eventually(lambda: x.server.world.exhausted)
            eventually(lambda: not any(c.queue for c in list(x.server.world.connections.values())))
        usage = x.get("/2/usage/tweets").json()["data"]
        assert 50 < int(usage["project_usage"]) <= 100
        assert usage["daily_project_usage"]["usage"][0]["usage"] == usage["project_usage"]


# Replay.


@pytest.mark.parametrize("name", ["h.jsonl", "h.jsonl.gz", "h.jsonl.zst"])
def test_a_file_is_replayed_in_its_order(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    until = datetime.now(UTC) - timedelta(minutes=5)
    write_history(path, ("a",), since=until - timedelta(days=1), until=until, count=800)
    with running(replay=path, rate=0) as x:
        x.add("#a")
        with x.stream() as response:
            eventually(lambda: x.server.world.exhausted)
            ids = [int(post["data"]["id"]) for post in posts(response, 400)]
        assert x.server.world.produced == 800
        assert ids == sorted(ids)
        assert time_of(ids[-1]) < until
        page = x.get(RECENT, query="#a", max_results=100).json()
        assert page["meta"]["result_count"] == 100


def test_pages_are_replayed_post_by_post_and_loops_get_new_ids(tmp_path: Path) -> None:
    users = [{"id": "1", "username": "sabia", "name": "S"}, {"id": "2", "username": "tucano", "name": "T"}]
    entities = {"hashtags": [{"tag": "a"}]}
    data = [
        {"id": str(10**18 + n), "text": f"#a {n}", "author_id": str(n % 2 + 1), "entities": entities}
        for n in range(300)
    ]
    path = tmp_path / "pages.jsonl"
    broken = '{"data":\n\n{"errors":[{"title":"x"}]}\n'
    path.write_text(broken + json.dumps({"data": data, "includes": {"users": users}}) + "\n")
    with running(replay=path, loop=True, rate=0, limit=900) as x:
        x.add("#a")
        received = x.read(900, expansions="author_id")
    ids = [post["data"]["id"] for post in received]
    assert ids[:300] == [post["id"] for post in data]
    assert len(set(ids)) == 900
    assert set(Counter(post["data"]["text"] for post in received).values()) == {3}
    for post in received:
        assert [user["id"] for user in post["includes"]["users"]] == [post["data"]["author_id"]]


# Search and counts.


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A world whose last two days are known and finished."""
    path = tmp_path_factory.mktemp("past") / "h.jsonl"
    until = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
    write_history(path, ("vacinação",), since=until - timedelta(days=2), until=until, count=3_000)
    with running(replay=path, rate=20_000) as client:
        eventually(lambda: client.server.world.exhausted)
        yield client


def everything(x: Client, **parameters: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    token: dict[str, Any] = {}
    while True:
        page = x.get(RECENT, max_results=100, **parameters, **token).json()
        found += page.get("data", [])
        assert page["meta"]["result_count"] == len(page.get("data", []))
        if "next_token" not in page["meta"]:
            return found
        token = {"next_token": page["meta"]["next_token"]}


def test_search_pages_through_everything_newest_first_without_reposts(past: Client) -> None:
    found = everything(past, query="#vacinacao", **{"tweet.fields": "referenced_tweets,entities"})
    ids = [int(post["id"]) for post in found]
    assert len(ids) > 1_000
    assert ids == sorted(set(ids), reverse=True)
    assert all(one["type"] != "retweeted" for post in found for one in post.get("referenced_tweets", ()))
    page = past.get(RECENT, query="#vacinacao").json()["meta"]
    assert page["result_count"] == 10
    assert (page["newest_id"], page["oldest_id"]) == (str(ids[0]), str(ids[9]))


def test_search_windows(past: Client) -> None:
    ids = [int(post["id"]) for post in everything(past, query="#vacinação")]
    middle = ids[len(ids) // 2]
    since = everything(past, query="#vacinação", since_id=middle)
    until = everything(past, query="#vacinação", until_id=middle)
    assert [int(post["id"]) for post in since] == [identity for identity in ids if identity > middle]
    assert [int(post["id"]) for post in until] == [identity for identity in ids if identity < middle]
    edge = time_of(middle).replace(microsecond=0) + timedelta(seconds=1)
    shown = edge.strftime("%Y-%m-%dT%H:%M:%SZ")
    after = everything(past, query="#vacinação", start_time=shown)
    before = everything(past, query="#vacinação", end_time=shown)
    assert {int(post["id"]) for post in after} == {one for one in ids if time_of(one) >= edge}
    exact = time_of(middle).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert str(middle) in {post["id"] for post in everything(past, query="#vacinação", start_time=exact)}
    assert {int(post["id"]) for post in before} == {one for one in ids if time_of(one) < edge}


def test_the_archive_takes_longer_queries_and_gives_larger_pages(past: Client) -> None:
    long = "#vacinação " + " ".join(f"-#{number:0>50}" for number in range(10))
    assert len(long) > 512
    assert past.get(RECENT, query=long).status_code == 400
    page = past.get("/2/tweets/search/all", query=long, max_results=500).json()
    assert page["meta"]["result_count"] == 500
    old = past.get("/2/tweets/search/all", query="#vacinação", start_time="2020-01-01T00:00:00Z")
    assert old.status_code == 200
    total = past.get("/2/tweets/counts/all", query="#vacinação", granularity="day").json()["meta"]
    assert total["total_tweet_count"] == len(everything(past, query="#vacinação"))


def test_a_page_shares_its_includes(past: Client) -> None:
    page = past.get(RECENT, query="#vacinação", max_results=100, expansions="author_id").json()
    users = [user["id"] for user in page["includes"]["users"]]
    assert len(users) == len(set(users))
    assert {post["author_id"] for post in page["data"]} == set(users)


@pytest.mark.parametrize("granularity", ["minute", "hour", "day"])
def test_counts_agree_with_search(past: Client, granularity: str) -> None:
    ids = [int(post["id"]) for post in everything(past, query="#vacinação lang:pt")]
    answer = past.get(COUNTS, query="#vacinação lang:pt", granularity=granularity).json()
    assert answer["meta"]["total_tweet_count"] == len(ids) > 100
    times = sorted(map(time_of, ids))
    for bucket in answer["data"]:
        start, end = (datetime.fromisoformat(bucket[key]) for key in ("start", "end"))
        assert start < end
        assert bucket["tweet_count"] == bisect_left(times, end) - bisect_left(times, start)
    starts = [bucket["start"] for bucket in answer["data"]]
    assert starts[1:] == [bucket["end"] for bucket in answer["data"][:-1]]


def test_a_post_of_the_full_hour_counts_to_the_hour_that_begins(tmp_path: Path) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    entities = {"hashtags": [{"tag": "a"}]}
    moments = (hour - timedelta(milliseconds=1), hour, hour + timedelta(milliseconds=1))
    data = [{"id": str(identity_at(moment, 1)), "text": "#a", "entities": entities} for moment in moments]
    path = tmp_path / "page.json"
    path.write_text(json.dumps({"data": data}) + "\n")
    with running(replay=path) as x:
        eventually(lambda: x.server.world.exhausted)
        buckets = x.get(COUNTS, query="#a").json()["data"]
    counted = {bucket["end"]: bucket["tweet_count"] for bucket in buckets if bucket["tweet_count"]}
    shown = [moment.strftime("%Y-%m-%dT%H:%M:%S.000Z") for moment in (hour, hour + timedelta(hours=1))]
    assert counted == {shown[0]: 1, shown[1]: 2}


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({}, "query"),
        ({"query": "a" * 513}, "query"),
        ({"query": "lang:pt"}, "query"),
        ({"query": "#a sample:10"}, "query"),
        ({"query": "#a", "max_results": "9"}, "max_results"),
        ({"query": "#a", "max_results": "101"}, "max_results"),
        ({"query": "#a", "start_time": "yesterday"}, "start_time"),
        ({"query": "#a", "start_time": "2020-01-01T00:00:00Z"}, "start_time"),
        ({"query": "#a", "since_id": "1"}, "since_id"),
        ({"query": "#a", "end_time": "2100-01-01T00:00:00Z"}, "end_time"),
        ({"query": "#a", "since_id": "x"}, "since_id"),
        ({"query": "#a", "next_token": "x"}, "next_token"),
    ],
)
def test_searches_that_are_refused(past: Client, parameters: dict[str, str], named: str) -> None:
    answer = past.get(RECENT, **parameters)
    assert answer.status_code == 400
    assert named in answer.json()["errors"][0]["parameters"] or named in answer.json()["errors"][0]["message"]
    assert answer.json()["type"].endswith("/problems/invalid-request")


def test_what_was_missed_can_be_found(tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    with running(record=record, topics=("a",), focus=1.0, rate=1_000, limit=1_500) as x:
        x.add("#a -is:retweet")
        x.read(100)
        eventually(lambda: x.server.world.exhausted)
        found = {post["id"] for post in everything(x, query="#a")}
        recorded = read_record(record)
        quoting = {
            str(identity)
            for identity, template in x.server.world.archive.newest_first(0, 2**63)
            if "is:quote" in template.search_subject.flags
        }
    assert len(recorded.missed) > 200
    assert set(recorded.missed) - found <= quoting


def test_the_newer_spelling_reaches_the_wire() -> None:
    with running(spelling="post", rate=0, pool=500, limit=2_000, topics=("a",), focus=1.0) as x:
        x.add("#a")
        asked = {"tweet.fields": "referenced_tweets,note_tweet,public_metrics,edit_history_tweet_ids"}
        received = x.read(500, **asked, expansions="referenced_tweets.id")
        assert all("repost_count" in post["data"]["public_metrics"] for post in received)
        assert all("edit_history_post_ids" in post["data"] for post in received)
        assert any("posts" in post.get("includes", {}) for post in received)
        searched = {"post.fields": "public_metrics,note_post", "expansions": "referenced_posts"}
        page = x.get(RECENT, query="#a", max_results=100, **searched).json()
        assert any("referenced_posts" in post for post in page["data"])
        assert "users" in page["includes"]
        assert "total_post_count" in x.get(COUNTS, query="#a").json()["meta"]
