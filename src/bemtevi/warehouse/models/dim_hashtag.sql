/*
grain = "one hashtag"
key = ["hashtag"]
partition = ["first_seen_date"]
scope = "keys"
hour = "first_seen_hour"
keys = "select hashtag from day_agg_hashtag_hour"
looked_up = "hashtag, md5(concat('v1|', hashtag)) as hashtag_key, first_seen_at, first_seen_hour, first_seen_date"
inputs = ["day_agg_hashtag_hour", "existing", "existing_touched", "all_agg_hashtag_hour"]
order = ["first_seen_date", "hashtag"]
checks = [
  { kind = "not_null", severity = "fail", columns = ["hashtag_key", "first_seen_hour", "first_seen_date"] },
]

[columns]
hashtag_key = { type = "VARCHAR", distinct = true, description = "Surrogate key: md5 of the folded hashtag, 32 hexadecimal digits." }
hashtag = { type = "VARCHAR", distinct = true, description = "The hashtag, folded: without sign and case." }
hashtag_plain = { type = "VARCHAR", distinct = true, description = "The same without diacritics on Latin and Greek letters, for people who type without them." }
spelling = { type = "VARCHAR", private = true, description = "The spelling used most in the hour of its first collected post; agg_hashtag_hour has those of every hour." }
first_seen_at = { type = "TIMESTAMPTZ", description = "When its first collected post was written." }
first_seen_hour = { type = "TIMESTAMPTZ", description = "Start of the UTC hour of its first collected post; what is replaced together." }
first_seen_date = { type = "DATE", description = "Date of its first collected post in the lake's zone; the partition." }

[derived]
last_seen_at = { type = "TIMESTAMPTZ", sql = "(select max(day.last_at) from agg_hashtag_day as day where day.hashtag = kept.hashtag)", description = "When its last collected post was written, by agg_hashtag_day." }

[needs]
all_agg_hashtag_hour = """
  select 1
  from existing_touched
  left join (select distinct hashtag, created_date from day_agg_hashtag_hour) as still
    on existing_touched.hashtag = still.hashtag and existing_touched.first_seen_date = still.created_date
  where still.hashtag is null
  limit 1
"""
*/

-- A hashtag has a row where it was first seen, and nothing in it changes when it is seen again: so a run writes its
-- new hashtags and leaves the others alone, however many they are. When one was last seen is worked out by who asks.
with still as (
  select distinct hashtag, created_date from day_agg_hashtag_hour
),
-- its first post was in a touched hour and is not there any more: all that was ever counted says where it is now
left_behind as (
  select existing_touched.hashtag
  from existing_touched
  left join still
    on existing_touched.hashtag = still.hashtag and existing_touched.first_seen_date = still.created_date
  where still.hashtag is null
),
-- a row that comes both ways is the same; grouped, since Spark cannot plan a window right over a union
sighting as (
  select hashtag, network, created_hour, created_date, min(first_at) as first_at
  from (
    select hashtag, network, created_hour, created_date, first_at
    from day_agg_hashtag_hour
    union all
    select seen.hashtag, seen.network, seen.created_hour, seen.created_date, seen.first_at
    from all_agg_hashtag_hour as seen
    inner join left_behind on seen.hashtag = left_behind.hashtag
  ) as either
  group by hashtag, network, created_hour, created_date
),
earliest as (
  select hashtag, network, created_hour, created_date, first_at
  from (
    select sighting.*, row_number() over (partition by hashtag order by first_at, network) as place
    from sighting
  ) as ranked
  where place = 1
),
-- seen before, in an hour that was not touched
earlier as (
  select existing.hashtag
  from existing
  left join existing_touched on existing.hashtag = existing_touched.hashtag
  inner join earliest on existing.hashtag = earliest.hashtag and existing.first_seen_at <= earliest.first_at
  where existing_touched.hashtag is null
),
first as (
  select earliest.*
  from earliest
  left join earlier on earliest.hashtag = earlier.hashtag
  where earlier.hashtag is null
),
spelt as (
  select hashtag, spelled.spelling as spelling, spelled.posts as posts
  from (
    select first.hashtag, unnest(seen.spellings) as spelled
    from first
    inner join day_agg_hashtag_hour as seen
      on first.hashtag = seen.hashtag and first.network = seen.network
      and first.created_hour = seen.created_hour and first.created_date = seen.created_date
  ) as near
  union all
  select hashtag, spelled.spelling as spelling, spelled.posts as posts
  from (
    select first.hashtag, unnest(seen.spellings) as spelled
    from first
    inner join left_behind on first.hashtag = left_behind.hashtag
    inner join all_agg_hashtag_hour as seen
      on first.hashtag = seen.hashtag and first.network = seen.network
      and first.created_hour = seen.created_hour and first.created_date = seen.created_date
  ) as far
),
commonest as (
  select hashtag, spelling
  from (
    select hashtag, spelling, row_number() over (partition by hashtag order by posts desc, spelling) as place
    from (select hashtag, spelling, max(posts) as posts from spelt group by hashtag, spelling) as counted
  ) as ranked
  where place = 1
),
-- apart, for all rows of these: a function of ours inside of a condition is handed rows that it was not asked for
folded as (
  select first.hashtag, hashtag_fold_plain(first.hashtag) as hashtag_plain
  from first
  left join existing on first.hashtag = existing.hashtag
  where existing.hashtag_plain is null
)
select
  md5(concat('v1|', first.hashtag)) as hashtag_key,
  first.hashtag,
  coalesce(existing.hashtag_plain, folded.hashtag_plain) as hashtag_plain,
  commonest.spelling,
  first.first_at as first_seen_at,
  first.created_hour as first_seen_hour,
  first.created_date as first_seen_date
from first
inner join commonest on first.hashtag = commonest.hashtag
left join existing on first.hashtag = existing.hashtag
left join folded on first.hashtag = folded.hashtag
union all by name
select existing.*
from existing
inner join earlier on existing.hashtag = earlier.hashtag
