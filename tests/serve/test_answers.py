"""The answers of the API: the same numbers as SQL over the tables, and deaf hours are never zero."""

from __future__ import annotations

import csv
import io
import json
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient
from tests.serve.conftest import DEAF_FROM, DEAF_HOURS, NOW
from tests.support import rows

from bemtevi.lake.lake import Lake

PERIOD = {"from": (NOW.replace(minute=0, second=0)).isoformat(), "last": "7d"}
WEEK = {"last": "7d"}
LISTS = (
    "authors",
    "languages",
    "apps",
    "types",
    "domains",
    "duplicates",
    "top-posts",
    "newcomers",
    "heatmap",
)


def got(client: TestClient, path: str, **query: Any) -> Any:
    """The body of a good answer."""
    answer = client.get(f"/api/v1/{path}", params=query or WEEK)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_summary_is_what_the_tables_hold(client: TestClient, heard: Lake) -> None:
    told = got(client, "hashtags/covid19/summary", last="30d")["data"]
    (known,) = rows(
        heard,
        "select count(*) as posts, count(distinct author_key) as authors, "
        "count(*) filter (type = 'repost') as reposts from fact_post join bridge_post_hashtag "
        "using (network, post_id) where hashtag = 'covid19'",
    )
    assert {name: told[name] for name in known} == known


def test_steps_that_were_not_heard_are_null(client: TestClient) -> None:
    told = got(client, "hashtags/covid19/timeline", last="7d", g="hour")["data"]
    times, posts = told["at"], told["series"]["x"]
    deaf = [value for at, value in zip(times, posts, strict=True) if _is_deaf(at)]
    assert deaf == [None] * DEAF_HOURS
    assert 0.0 in told["listened"]["x"]
    assert sum(value or 0 for value in posts) > 1_000
    assert told["partial"] == [len(times) - 1]


def _is_deaf(at: str) -> bool:
    from datetime import datetime, timedelta

    return timedelta() <= datetime.fromisoformat(at) - DEAF_FROM < timedelta(hours=DEAF_HOURS)


@pytest.mark.parametrize("granularity", ["minute", "hour", "day", "week", "month"])
def test_every_granularity_adds_up(client: TestClient, granularity: str) -> None:
    period = {"from": "2026-01-01T00:00:00Z"} if granularity == "month" else {"last": "7d"}
    whole = got(client, "hashtags/covid19/summary", **period)["data"]["posts"]
    told = got(client, "hashtags/covid19/timeline", g=granularity, **period)["data"]
    assert sum(value or 0 for value in told["series"]["x"]) == whole


def test_filters_apply_to_every_question(client: TestClient) -> None:
    whole = got(client, "hashtags/covid19/types")["data"]
    for row in whole:
        only = got(client, "hashtags/covid19/summary", type=row["type"], **WEEK)["data"]["posts"]
        assert only == row["posts"]
    languages = {row["language"]: row["posts"] for row in got(client, "hashtags/covid19/languages")["data"]}
    assert got(client, "hashtags/covid19/summary", lang="pt", **WEEK)["data"]["posts"] == languages["pt"]
    assert got(client, "hashtags/covid19/summary", net="none", **WEEK)["data"]["posts"] == 0


def test_completeness_stands_in_every_answer(client: TestClient) -> None:
    for name in (*LISTS, "summary", "timeline", "cooccurrence"):
        told = got(client, f"hashtags/covid19/{name}")["meta"]["completeness"]
        assert 0.94 < told["share"] < 0.98, name
        assert len([gap for gap in told["gaps"] if gap["cause"] != "not yet listening"]) == 2


def test_the_hashtags_of_most_posts_are_those_of_the_tables(client: TestClient, heard: Lake) -> None:
    told = got(client, "hashtags", last="30d", limit=30)["data"]
    known = rows(
        heard,
        "select hashtag, count(*) as posts, count(distinct author_key) as authors from bridge_post_hashtag "
        "join fact_post using (network, post_id) group by all order by posts desc, hashtag limit 30",
    )
    assert [{name: row[name] for name in ("hashtag", "posts", "authors")} for row in told] == known
    assert all(row["spelling"] for row in told)


def test_domains_are_of_the_addresses_behind_the_short_ones(client: TestClient, heard: Lake) -> None:
    told = got(client, "hashtags/covid19/domains", last="30d", limit=1000)["data"]
    known = rows(
        heard,
        "select domain, count(distinct (network, post_id)) as posts from bridge_post_url "
        "join bridge_post_hashtag using (network, post_id) where hashtag = 'covid19' and domain <> 't.co' "
        "group by domain order by posts desc, domain",
    )
    assert len(known) > 3
    assert [(row["domain"], row["posts"]) for row in told] == [(row["domain"], row["posts"]) for row in known]


def test_a_followed_hashtag_without_posts_is_no_error(client: TestClient) -> None:
    assert got(client, "hashtags/silêncio/summary")["data"]["posts"] == 0
    followed = got(client, "hashtags", followed="true", sparkline="true", last="24h")["data"]
    assert [row["hashtag"] for row in followed] == ["covid19", "silêncio"]
    assert sum(followed[0]["hours"]) >= followed[0]["posts"]


def test_a_spelling_without_accents_finds_the_hashtag(client: TestClient) -> None:
    assert got(client, "hashtags/VACINACAO/summary")["meta"]["hashtag"] == "vacinação"


def test_comparing(client: TestClient) -> None:
    told = got(client, "compare", tag=["covid19", "vacinação", "SUS"], last="7d")["data"]
    assert [row["hashtag"] for row in told["hashtags"]] == ["covid19", "vacinação", "sus"]
    assert all(len(row["posts_by_step"]) == len(told["at"]) for row in told["hashtags"])
    assert len(told["common"]) == 3


def test_the_period_before_is_compared_only_if_it_was_heard(client: TestClient) -> None:
    day = got(client, "hashtags/covid19/summary", last="24h")["data"]["before"]
    assert day["comparable"] is True
    assert got(client, "hashtags/covid19/summary", last="7d")["data"]["before"]["comparable"] is False


def test_the_heat_map_knows_what_was_not_heard(client: TestClient) -> None:
    cells = got(client, "hashtags/covid19/heatmap", last="5d")["data"]
    assert len(cells) == 168
    assert {cell["mean"] is None for cell in cells} == {True, False}


def test_pages_of_posts_do_not_repeat_and_miss_none(client: TestClient) -> None:
    seen: list[str] = []
    after = None
    for _ in range(4):
        query = {"tag": "covid19", "last": "7d", "limit": 30} | ({"after": after} if after else {})
        told = got(client, "posts", **query)
        seen += [row["post_id"] for row in told["data"]]
        after = told["meta"]["next"]
    assert len(seen) == len(set(seen)) == 120
    assert got(client, "posts", tag="covid19", last="7d", limit=100)["data"][99]["post_id"] == seen[99]


def test_search_finds_words_and_phrases(client: TestClient) -> None:
    first = next(
        row for row in got(client, "posts", last="7d", limit=50)["data"] if row["text"].count(" ") > 4
    )
    words = first["text"].split()[:2]
    found = got(client, "posts", q=f'"{" ".join(words)}"', last="7d", limit=100)["data"]
    assert all(" ".join(words).lower() in row["text"].lower() for row in found)
    assert first["post_id"] in [row["post_id"] for row in found]
    sample = [row["post_id"] for row in got(client, "posts", sample=4, last="7d")["data"]]
    assert sample == [
        row["post_id"] for row in got(client, "posts", sample=4, last="7d", format="json")["data"]
    ]


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "arrow"])
def test_every_list_has_every_form(client: TestClient, name: str, form: str) -> None:
    answer = client.get(f"/api/v1/hashtags/covid19/{name}", params={"last": "7d", "format": form})
    assert answer.status_code == 200, answer.text
    count = len(got(client, f"hashtags/covid19/{name}")["data"])
    body = answer.content
    match form:
        case "csv":
            number = len(list(csv.DictReader(io.StringIO(body.decode(), newline=""))))
        case "jsonl":
            number = len([json.loads(line) for line in body.splitlines()])
        case "parquet":
            number = pq.read_table(io.BytesIO(body)).num_rows
        case _:
            number = pa.ipc.open_stream(body).read_all().num_rows
    assert number == count


def test_the_network_opens_as_gexf(client: TestClient) -> None:
    answer = client.get("/api/v1/hashtags/covid19/cooccurrence", params={"last": "7d", "format": "gexf"})
    tree = ElementTree.fromstring(answer.text)  # noqa: S314  our own
    space = "{http://gexf.net/1.3}"
    nodes = {node.get("id") for node in tree.iter(f"{space}node")}
    edges = list(tree.iter(f"{space}edge"))
    assert edges
    assert {edge.get("source") for edge in edges} | {edge.get("target") for edge in edges} <= nodes
    assert "covid19" not in nodes


def test_an_answer_keeps_its_tag_until_the_snapshot_changes(client: TestClient) -> None:
    period = {"from": "2026-11-01T00:00:00Z", "to": NOW.isoformat()}
    first = client.get("/api/v1/hashtags/covid19/authors", params=period)
    again = client.get(
        "/api/v1/hashtags/covid19/authors", params=period, headers={"if-none-match": first.headers["etag"]}
    )
    assert again.status_code == 304
    assert again.content == b""
    other = client.get("/api/v1/hashtags/covid19/authors", params=period | {"limit": 3})
    assert other.headers["etag"] != first.headers["etag"]


def test_the_sql_of_an_answer_gives_the_answer(client: TestClient) -> None:
    period = {"from": "2026-11-01T00:00:00Z", "to": NOW.isoformat()}
    told = got(client, "hashtags/covid19/languages", **period)
    again = client.post("/api/v1/sql", json={"sql": told["meta"]["sql"]}).json()["data"]
    assert again[: len(told["data"])] == told["data"]


def test_an_empty_lake_has_answers(empty_client: TestClient) -> None:
    for path in ("status", "hashtags", "rising", "gaps", "runs", "posts", "catalog", "hashtags/x/summary"):
        got(empty_client, path)
    assert got(empty_client, "hashtags/x/timeline")["data"]["series"] == {}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("hashtags/covid19/summary?last=0d", 422),
        ("hashtags/covid19/summary?last=99999w", 422),
        ("hashtags/covid19/summary?from=2026-11-24&to=2026-11-23", 422),
        ("hashtags/covid19/summary?from=yesterday", 422),
        ("hashtags/covid19/timeline?g=minute&last=400d", 422),
        ("hashtags/%23/summary", 422),
        ("hashtags/covid19/authors?limit=1000000", 422),
        ("hashtags/covid19/authors?format=xml", 422),
        ("posts?after=nonsense", 422),
        ("posts?q=a+b+c+d+e+f+g+h+i", 422),
        ("compare", 422),
        ("nothing", 404),
    ],
)
def test_a_wrong_question_is_told(client: TestClient, path: str, status: int) -> None:
    answer = client.get(f"/api/v1/{path}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["title"]
