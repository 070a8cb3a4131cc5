"""What must not be possible: writing, reading files, seeing texts without the token, running for ever."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from bemtevi.serve.api import create_app
from bemtevi.serve.api.guard import POLICY, Access
from bemtevi.serve.api.withheld import LEAST_AUTHORS
from bemtevi.serve.memory_bound import resident
from bemtevi.serve.snapshot import Snapshots

ATTACKS = [
    "select * from read_text('/etc/passwd')",
    "select * from '/etc/passwd'",
    "select * from 'data.csv'",
    "select * from read_csv('/etc/passwd')",
    "select * from read_blob('/etc/passwd')",
    "select * from read_parquet('{file}')",
    "select * from parquet_metadata('{file}')",
    "select * from glob('/*')",
    "select * from sniff_csv('/etc/passwd')",
    "select * from read_csv('http://127.0.0.1:1/x')",
    "from enable_logging(storage='file', storage_path='/tmp/bemtevi-attack')",
    "call enable_logging()",
    "attach '/tmp/bemtevi-attack.db'",
    "copy (select 1) to '/tmp/bemtevi-attack.csv'",
    "copy (select 1) to '{file}'",
    "export database '/tmp/bemtevi-attack'",
    "install httpfs",
    "load httpfs",
    "set memory_limit = '100GB'",
    "set enable_external_access = true",
    "reset all",
    "pragma database_list",
    "checkpoint",
    "create table mine as select 1",
    "create or replace view fact_post as select 1",
    "insert into fact_post select * from fact_post",
    "delete from fact_post",
    "drop view fact_post",
    "explain analyze copy (select 1) to '/tmp/bemtevi-attack.csv'",
    "select 1; drop view fact_post",
    "select * from query('select 1')",
    "select * from query_table('fact_post')",
    "select current_setting('temp_directory')",
    "select getenv('HOME')",
    "select write_log('x')",
    "select repeat('x', 2000000000)",
    "select len(range(3000000000))",
    "select list_sort(generate_series(1, 500000000))[1]",
    "select list_resize([1], 3000000000)",
    "select lpad('x', 2000000000, 'x')",
    "select len('x'.rpad(2000000000, 'x'))",
    "select printf('%2000000000d', 1)",
    "select format('{:2000000000}', 1)",
    "select len(" + "replace(" * 9 + "'xxxxxxxxxx'" + ", 'x', 'xxxxxxxxxx')" * 9 + ")",
    "select len(regexp_replace(regexp_replace(text, '.', text, 'g'), '.', text, 'g')) from fact_post",
    "select len(s) from " + "(select s || s as s from " * 25 + "(select 'x' as s)" + ")" * 25,
    "select len(concat(s, s, s)) from (select concat(s, s, s, s) as s from (select concat("
    + ", ".join(["text"] * 900)
    + ") as s from fact_post))",
    # comments hide nothing, and one statement is one
    "select 1 /* ; */; -- select 2\n drop view fact_post",
    "/* select 1 */ copy (select 1) to '/tmp/bemtevi-attack.csv'",
    "select 1 --\n; attach ':memory:' as other",
    "se/**/lect * fr/**/om read_text('/etc/passwd')",
    "select * from read_text/**/('/etc/passwd')",
    "select * from (values (1)) as v(x), read_text('/etc/passwd')",
    "select (select content from read_text('/etc/passwd'))",
    "with x as (from read_text('/etc/passwd')) select * from x",
    "select 1 where exists (from read_blob('/proc/self/environ'))",
    "select * from '/proc/self/environ'",
    "select * from 'file:///etc/passwd'",
    "select * from 's3://bucket/key.parquet'",
    "select * from read_json('/etc/passwd')",
    "select * from read_json_objects('/etc/passwd')",
    "select * from read_ndjson('/etc/passwd')",
    "select * from delta_scan('/etc')",
    "attach ':memory:' as other",
    "attach 'https://127.0.0.1:1/x.db' as other (read_only)",
    "detach memory",
    "use memory",
    "copy fact_post from '/etc/passwd'",
    "copy (select 1) to '/dev/stdout'",
    "copy (select 1) to '/tmp/bemtevi-attack' (format parquet, partition_by (x))",
    "import database '/tmp/bemtevi-attack'",
    "force install httpfs from 'https://127.0.0.1:1'",
    "load '/tmp/bemtevi-attack.duckdb_extension'",
    "update extensions",
    "set threads = 100",
    "set global memory_limit = '100GB'",
    "set lock_configuration = false",
    "set allowed_paths = ['/etc/passwd']",
    "set temp_directory = '/tmp/bemtevi-attack'",
    "set variable x = 1",
    "pragma memory_limit = '100GB'",
    "pragma enable_profiling",
    "pragma table_info('fact_post')",
    "create secret s (type s3, key_id 'x', secret 'y')",
    "create macro m() as table select * from read_text('/etc/passwd')",
    "create temp table mine as select 1",
    "alter view fact_post rename to other",
    "update fact_post set text = 'x'",
    "truncate fact_post",
    "begin",
    "commit",
    "rollback",
    "vacuum",
    "analyze",
    "explain analyze delete from fact_post",
    "call pragma_version()",
    "comment on view fact_post is 'x'",
    "pivot fact_post on type",
    "select pg_sleep(100)",
    "select getvariable('x')",
    "select nextval('x')",
    "select current_query()",
    "select which_secret('s3://x', 's3')",
    "select * from test_all_types()",
    "select * from duckdb_functions()",
    "select * from pg_catalog.pg_tables",
    "select * from sqlite_master",
    "select * from memory.main.fact_post",
    "select * from temp.x",
    "select * from system.main.duckdb_settings",
    "select * from duckdb_settings()",
    "select * from duckdb_secrets()",
    "select * from pragma_storage_info('fact_post')",
    "select * from duckdb_views",
    "select * from information_schema.tables",
    "select * from made.fact_post",
    "select snapshots",
    "select * from snapshots",
    "prepare x as select 1",
    "execute x",
    "",
    ";",
    "select",
    "select " + "(" * 9_000 + "1",
    "select " + "1+" * 9_000 + "1",
    "x" * 30_000,
]


def ask(client: TestClient, sql: str, **more: object) -> tuple[int, str]:
    """How a statement was answered."""
    answer = client.post("/api/v1/sql", json={"sql": sql, **more})
    return answer.status_code, answer.text


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_refused_and_the_server_is_well(
    client: TestClient, snapshots: Snapshots, attack: str
) -> None:
    with snapshots.lease() as snapshot:
        file = snapshot.closed._files[0]
    status, text = ask(client, attack.replace("{file}", file))
    assert 400 <= status < 500, text
    assert "Traceback" not in text
    assert not list(Path("/tmp").glob("bemtevi-attack*"))  # noqa: S108
    assert ask(client, "select count(*) from fact_post")[0] == 200


@pytest.mark.parametrize(
    "sql",
    [
        "with recursive r as (select 1 as i union all select i + 1 from r) select count(*) from r",
        "select count(*) from range(1000000000) a, range(1000000) b",
        "select * from range(100000000) a, range(100000000) b order by random()",
        "select list(a.range) from range(100000000) a, range(100) b",
        "select string_agg(a.range) from range(100000000) a, range(100) b",
        "with recursive r as (select 'xx' as s union all select s || s from r) select max(len(s)) from r",
        "with recursive r as (select [1] s union all select list_concat(s, s) from r) select max(s) from r",
        "select count(distinct a.text || b.text || c.post_id) from fact_post a, fact_post b, fact_post c",
        "select array_agg(a.post_id order by random()) from fact_post a, fact_post b, fact_post c",
        "select histogram(a.post_id || b.post_id || c.post_id) from fact_post a, fact_post b, fact_post c",
        "select a.*, b.*, c.* from fact_post a, fact_post b, fact_post c order by md5(a.text || b.text)",
    ],
)
def test_what_has_no_end_is_stopped(snapshots: Snapshots, sql: str) -> None:
    client = TestClient(create_app(snapshots, Access(None), seconds=1.0), base_url="http://127.0.0.1")
    began = time.monotonic()
    status, text = ask(client, sql)
    assert status == 422, text
    assert "takes too" in text or "too much memory" in text
    assert time.monotonic() - began < 20
    assert ask(client, "select 1")[0] == 200


def test_memory_that_the_engine_does_not_count_is_bounded(snapshots: Snapshots) -> None:
    client = TestClient(create_app(snapshots, Access(None)), base_url="http://127.0.0.1")
    before, began = resident(), time.monotonic()
    status, text = ask(
        client, "select quantile_cont(a.range * b.range, [0.1]) from range(100000) a, range(100000) b"
    )
    assert status == 422, text
    assert time.monotonic() - began < 20
    after = resident()
    assert before is not None
    assert after is not None
    assert after - before < 1_500_000_000
    assert ask(client, "select 1")[0] == 200


def test_a_large_answer_is_cut_and_says_so(client: TestClient) -> None:
    got = client.post("/api/v1/sql", json={"sql": "select * from range(1000000)"})
    assert got.status_code == 200, got.text
    answer = got.json()
    assert len(answer["data"]) == 1_000
    assert answer["meta"]["more"] is True
    body = client.post(
        "/api/v1/sql", json={"sql": "select * from range(100000)", "format": "csv", "limit": 50_000}
    )
    assert body.content.count(b"\r\n") == 50_001
    assert body.headers["x-more-rows"] == "true"


def test_a_formula_is_made_harmless(client: TestClient) -> None:
    body = client.post("/api/v1/sql", json={"sql": "select '=1+1' as a", "format": "csv"}).text
    assert body == "a\r\n'=1+1\r\n"


def test_without_the_token_there_are_ids_and_counts_alone(public: TestClient) -> None:
    for path in ("authors", "top-posts", "duplicates"):
        for row in public.get(f"/api/v1/hashtags/covid19/{path}?last=7d").json()["data"]:
            assert row.get("text") is None
            assert row.get("username") is None
            assert len(row.get("author_id", "0" * 32)) == 32
    rows = public.get("/api/v1/posts?last=7d").json()["data"]
    assert all(row["text"] is None and row["post_id"] for row in rows)
    csv = public.get("/api/v1/posts?last=7d&format=csv").text
    assert len(csv.splitlines()) == 21
    assert public.get("/api/v1/posts?q=vacina").status_code == 401
    assert public.post("/api/v1/sql", json={"sql": "select 1"}).status_code == 401
    assert public.get("/api/v1/hashtags/covid19/summary?last=7d").json()["data"]["posts"] > 1_000


def test_groups_of_a_few_authors_are_not_public(client: TestClient, public: TestClient) -> None:
    small = 0
    for path in (
        *(f"hashtags/covid19/{name}" for name in ("languages", "apps", "types", "domains", "duplicates")),
        "hashtags",
    ):
        query = "?last=7d&limit=1000"
        rows = client.get(f"/api/v1/{path}{query}").json()["data"]
        few = [row for row in rows if row["authors"] < LEAST_AUTHORS]
        small += len(few)
        answer = public.get(f"/api/v1/{path}{query}").json()
        assert len(answer["data"]) == len(rows) - len(few), path
        assert answer["meta"]["small_groups_left_out"] == len(few), path
        assert all(row["authors"] >= LEAST_AUTHORS for row in answer["data"])
    assert small > 10
    path = "/api/v1/hashtags/covid19/cooccurrence?last=7d"
    pairs = client.get(path + "&limit=10000").json()["data"]["rows"]
    shown = public.get(path + "&limit=10000").json()["data"]
    assert {row["authors"] < LEAST_AUTHORS for row in pairs} == {True, False}
    assert len(shown["rows"]) == sum(row["authors"] >= LEAST_AUTHORS for row in pairs)
    drawn = {(edge["one"], edge["other"]) for edge in shown["edges"]}
    assert drawn <= {(row["one"], row["other"]) for row in shown["rows"]}
    whole = public.get(path + "&format=gexf").text
    assert whole.count("<edge ") == len(shown["rows"])


def test_which_hashtags_are_followed_is_public(public: TestClient) -> None:
    rows = public.get("/api/v1/hashtags?followed=true&sparkline=true&last=24h").json()["data"]
    assert [row["hashtag"] for row in rows] == ["covid19", "silêncio"]


@pytest.mark.parametrize("given", ["Bearer wrong", "Bearer ", "secret", "Basic secret", "Bearer secret "])
def test_the_token(public: TestClient, given: str) -> None:
    right = given.strip() == "Bearer secret"
    answer = public.post("/api/v1/sql", json={"sql": "select 1"}, headers={"authorization": given})
    assert answer.status_code == (200 if right else 401)


def test_a_browser_that_gave_the_token_sees_texts(snapshots: Snapshots) -> None:
    app = create_app(snapshots, Access("secret"), local=False)
    browser = TestClient(app, base_url="http://news.example")
    assert browser.post("/api/v1/session", json={"token": "wrong"}).status_code == 401
    answer = browser.post("/api/v1/session", json={"token": "secret"})
    assert answer.status_code == 204
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "samesite=strict" in answer.headers["set-cookie"].lower()
    assert "secret" not in answer.headers["set-cookie"]
    assert any(row["text"] for row in browser.get("/api/v1/posts?last=7d").json()["data"])


def test_a_foreign_host_name_is_not_answered_on_this_machine(client: TestClient) -> None:
    assert client.get("/api/v1/status", headers={"host": "evil.example"}).status_code == 421
    assert client.get("/api/v1/status", headers={"host": "localhost:8642"}).status_code == 200


def test_every_answer_is_guarded(client: TestClient) -> None:
    for path in ("/", "/api/v1/status", "/api/v1/nothing", "/healthz", "/readyz", "/metrics"):
        headers = client.get(path).headers
        assert headers["content-security-policy"] == POLICY
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


def test_a_large_body_is_refused(client: TestClient) -> None:
    assert client.post("/api/v1/sql", content=b"x" * 100_000).status_code == 413

    def pieces() -> object:
        for _ in range(20):
            yield b"x" * 10_000

    assert client.post("/api/v1/sql", content=pieces()).status_code == 413  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "path", ["/web/../catalog.py", "/web/%2e%2e/catalog.py", "/web//etc/passwd", "/web/x.py"]
)
def test_no_file_but_the_dashboards(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404
