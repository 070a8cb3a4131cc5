"""What an hour costs on a long history: `consolidate-history`; and the history, which other cases use too.

Owns a history that is made at table level, since importing it would take hours: rows of the tables that grow
with it, as their models would leave them, but lean (no texts) and without mentions, links, media and pairs,
which are kept by the hour or day like the rest. Leaves measuring to `process`.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import duckdb

from bemtevi.lake.lake import Lake
from bemtevi.lake.layout import Layout
from bemtevi.simulate import write_history
from bemtevi.warehouse.model import Model, load_models
from bemtevi.warehouse.run import Run, commit_run, last_run, pinned
from benchmarks.data import TOPICS, UNTIL, folder_bytes
from benchmarks.process import bemtevi, environment, measure
from benchmarks.sizes import Figures, Sizes

ZONE = "America/Sao_Paulo"
HOUR_POSTS = 100_000
HOURS = 3
POSTS_A_DAY = 200_000
HISTORY = 10_000_000
AUTHORS = 1_000_000

POST = f"""
    select 'x' as network, concat($day, '-', i) as post_id,
      concat('h', (i * 7919 + $day * 104729) % {AUTHORS}) as author_id,
      md5(concat('v1|x', chr(31), author_id)) as author_key,
      $midnight::timestamptz + to_microseconds(i * (86400000000 // $posts)) as created_at,
      date_trunc('hour', created_at) as created_hour, created_at as observed_at,
      cast(created_at at time zone '{ZONE}' as date) as created_date, 'original' as type, 1 as like_count,
      case when i % 10 = 0 then concat('tail', $day, 'x', i)
        else list_extract(['{TOPICS[0]}', '{TOPICS[1]}', concat('tag', i % 5000)], 1 + i % 3) end as hashtag,
      md5(concat('v1|', hashtag)) as hashtag_key, hashtag as spelling,
      [{{'hashtag': hashtag, 'spelling': hashtag, 'matched_by': 'entity'}}] as hashtags,
      1 as observations, created_at as first_received_at, created_at as last_received_at,
      created_at at time zone '{ZONE}' as created_at_local, 1 as position,
      'entity' as matched_by, -180 as utc_offset
    from range($posts) as of(i)
"""
SAID = """'pt' as language, 'X' as client, (i * 31) % 100000 as author_follower_count,
      (i * 17) % 900 as repost_count,
      concat('o dia ', i % 9973, ' disse ', ['vacina', 'chuva', 'escola', 'posto'][1 + i % 4], ' a ',
        i % 131, ' #', hashtag) as text"""
"""What is asked about beside the counts; left out where it does not matter."""
COUNTED = """count(*) as posts, count(*) as originals, 0 as replies, 0 as quotes, 0 as reposts,
      count(distinct author_key) as authors, sum(like_count) as likes, min(created_at) as first_at,
      max(created_at) as last_at, [{'language': 'und', 'posts': count(*)}] as languages"""
DAILY = {
    "fact_post": "select * from post order by created_hour",
    "bridge_post_hashtag": "select * from post order by created_hour",
    "agg_hashtag_hour": f"""
        select network, hashtag, hashtag_key, created_hour, created_date, {COUNTED},
          [{{'spelling': hashtag, 'posts': count(*)}}] as spellings
        from post group by network, hashtag, hashtag_key, created_hour, created_date
        order by created_date, hashtag""",
    "agg_hashtag_day": f"""
        select network, hashtag, hashtag_key, created_date, {COUNTED}
        from post group by network, hashtag, hashtag_key, created_date order by hashtag""",
    "user_observation": """
        select network, author_id, author_key, created_hour as observed_hour, created_date as observed_date,
          min(created_at) as first_observed_at, max(created_at) as observed_at, author_id as username,
          md5(author_id) as version_hash
        from post group by network, author_id, author_key, created_hour, created_date""",
}
AT_THE_END = {
    "dim_user": """
        select 'x' as network, author_id, md5(concat('v1|x', chr(31), author_id)) as author_key,
          md5(concat(author_id, i)) as user_key, author_id as username, author_id as name,
          md5(author_id) as version_hash,
          date_trunc('hour', $midnight::timestamptz + to_minutes(i * 97 % (1440 * $day))) as valid_from,
          cast(date_trunc('month', valid_from) as date) as valid_month
        from (select i, concat('h', i) as author_id from range($posts) as of(i))
        order by valid_month, author_key""",
    "dim_hashtag": f"""
        select hashtag, md5(concat('v1|', hashtag)) as hashtag_key, hashtag as hashtag_plain,
          hashtag as spelling, $midnight::timestamptz + to_hours(24 * number) as first_seen_at,
          first_seen_at as first_seen_hour,
          cast(first_seen_at at time zone '{ZONE}' as date) as first_seen_date
        from (
          select case when i < 5000 then concat('tag', i)
            else concat('tail', i // ($posts // $day), 'x', (i % ($posts // $day)) * 10) end as hashtag,
            min(case when i < 5000 then 0 else i // ($posts // $day) end) as number
          from range($posts) as of(i)
          group by 1
        ) order by first_seen_date, hashtag""",
}


def consolidate_history(folder: Path, sizes: Sizes) -> Figures:
    """Hours of 100,000 posts on an empty lake and on one with a history of 10 million posts."""
    history = sizes.of(HISTORY)
    for hour in range(HOURS):
        since = UNTIL + timedelta(hours=hour)
        write_history(
            folder / f"{hour}.jsonl",
            TOPICS,
            since=since,
            until=since + timedelta(hours=1),
            count=HOUR_POSTS,
            seed=hour,
        )
    write_history(
        folder / "first.jsonl", TOPICS, since=UNTIL - timedelta(hours=1), until=UNTIL, count=1000, seed=99
    )
    places = {"empty": folder / "empty", "history": folder / "history"}
    for place in places.values():
        place.mkdir()
        env = environment(place / "lake")
        measure(bemtevi("import", folder / "first.jsonl"), env, place)
        measure(bemtevi("consolidate"), env, place)
    fill(places["history"] / "lake", history)
    size = folder_bytes(places["history"] / "lake" / "layer2")
    seconds: dict[str, list[float]] = {name: [] for name in places}
    cpu: dict[str, list[float]] = {name: [] for name in places}
    memory = 0.0
    for hour in range(HOURS):
        for name, place in places.items():  # in turn, so that what else the machine does meets both
            env = environment(place / "lake")
            measure(bemtevi("import", folder / f"{hour}.jsonl"), env, place)
            measured = measure(bemtevi("consolidate"), env, place)
            seconds[name].append(round(measured.seconds, 2))
            cpu[name].append(round(measured.cpu_seconds, 2))
            memory = max(memory, measured.peak_mb)
    return {
        "posts": HOUR_POSTS,
        "posts_of_history": history,
        "bytes_of_history": size,
        "seconds_on_empty": seconds["empty"],
        "seconds_on_history": seconds["history"],
        "ratio": round(median(seconds["history"]) / median(seconds["empty"]), 3),
        "cpu_on_empty": cpu["empty"],
        "cpu_on_history": cpu["history"],
        "cpu_ratio": round(median(cpu["history"]) / median(cpu["empty"]), 3),
        "peak_mb": round(memory),
    }


def fill(folder: Path, posts: int, *, with_texts: bool = False) -> None:
    """Lay a history of so many posts before what a lake holds, and show it as a run.

    `with_texts`: for questions; then without what only consolidation reads.
    """
    daily = {name: query for name, query in DAILY.items() if not with_texts or name != "user_observation"}
    query_of_posts = POST.replace("1 as position,", f"1 as position, {SAID},") if with_texts else POST
    lake = Lake(Layout(str(folder)), ZONE, local=folder.parent / "journal")
    models = {model.name: model for model in load_models()}
    days = max(1, posts // POSTS_A_DAY)
    start = UNTIL.replace(hour=3) - timedelta(days=days + 1)  # midnight in the zone
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        for day in range(days):
            values = {"day": day, "midnight": start + timedelta(days=day), "posts": posts // days}
            connection.execute(f"create or replace temp table post as {query_of_posts}", values)
            for name, query in daily.items():
                _append(lake, connection, models[name], query, {})
            print(f"history: day {day + 1} of {days}", end="\r", file=sys.stderr)
        for name, number in (("dim_user", AUTHORS), ("dim_hashtag", posts // 10)):
            query = AT_THE_END[name]
            _append(lake, connection, models[name], query, {"midnight": start, "posts": number, "day": days})
    last = last_run(lake)
    assert last is not None
    versions = {name: lake.table(model.definition).version() for name, model in models.items()}
    now = datetime.now(UTC)
    commit_run(
        lake,
        Run(
            number=last.number + 1,
            kind="incremental",
            started_at=now,
            finished_at=now,
            engine="duckdb",
            program="",
            unicode=last.unicode,
            timezone=ZONE,
            raw_version=last.raw_version,
            posts_after=posts,
            versions=pinned(versions),
        ),
    )


def _append(
    lake: Lake, connection: duckdb.DuckDBPyConnection, model: Model, query: str, values: dict[str, Any]
) -> None:
    described = connection.execute(f"select * from ({query}) limit 0", values).description or []
    names = {name for name, *_ in described}
    columns = ", ".join(
        f'cast({name if name in names else "null"} as {kind}) as "{name}"'
        for name, kind in model.types.items()
    )
    rows = connection.execute(f"select {columns} from ({query})", values).to_arrow_reader(100_000)
    lake.table(model.definition).append(rows)
