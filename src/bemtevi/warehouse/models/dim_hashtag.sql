/*
grain = "one hashtag"
key = ["hashtag"]
scope = "whole"
inputs = ["agg_hashtag_hour", "former_agg_hashtag_hour", "existing", "all_agg_hashtag_hour"]
order = ["hashtag"]
checks = [
  { kind = "not_null", severity = "fail", columns = ["hashtag_key"] },
]

[columns]
hashtag_key = { type = "VARCHAR", distinct = true, description = "Surrogate key: md5 of the folded hashtag, 32 hexadecimal digits." }
hashtag = { type = "VARCHAR", distinct = true, description = "The hashtag, folded: without sign and case." }
hashtag_plain = { type = "VARCHAR", distinct = true, description = "The same without diacritics on Latin and Greek letters, for people who type without them." }
spelling = { type = "VARCHAR", private = true, description = "The spelling used most." }
first_seen_at = { type = "TIMESTAMPTZ", description = "When its first collected post was written." }
last_seen_at = { type = "TIMESTAMPTZ", description = "When its last collected post was written." }
spellings = { type = "STRUCT(spelling VARCHAR, posts BIGINT)[]", private = true, description = "Posts by spelling, in its order." }

[needs]
all_agg_hashtag_hour = """
  select 1
  from existing
  inner join (
    select hashtag, min(first_at) as first_at, max(last_at) as last_at from former_agg_hashtag_hour group by hashtag
  ) as former on existing.hashtag = former.hashtag
  left join (
    select hashtag, min(first_at) as first_at, max(last_at) as last_at from agg_hashtag_hour group by hashtag
  ) as newer on existing.hashtag = newer.hashtag
  where existing.spellings is null
    or (existing.first_seen_at = former.first_at and coalesce(newer.first_at > former.first_at, true))
    or (existing.last_seen_at = former.last_at and coalesce(newer.last_at < former.last_at, true))
  limit 1
"""
*/

-- What is known of a hashtag, and what its touched hours say now less what they said before: so a run costs what its
-- own hours cost. Only where a first or last post left its hour is all that was ever counted looked at again.
with newer as (
  select hashtag, min(first_at) as first_at, max(last_at) as last_at
  from agg_hashtag_hour
  group by hashtag
),
former as (
  select hashtag, min(first_at) as first_at, max(last_at) as last_at
  from former_agg_hashtag_hour
  group by hashtag
),
left_behind as (
  select existing.hashtag
  from existing
  inner join former on existing.hashtag = former.hashtag
  left join newer on existing.hashtag = newer.hashtag
  where existing.spellings is null
    or (existing.first_seen_at = former.first_at and coalesce(newer.first_at > former.first_at, true))
    or (existing.last_seen_at = former.last_at and coalesce(newer.last_at < former.last_at, true))
),
touched as (
  select hashtag from newer
  union
  select hashtag from former
),
-- from here on, of the touched hashtags: what is known, and what is new
known as (
  select existing.*
  from existing
  inner join touched on existing.hashtag = touched.hashtag
  left join left_behind on existing.hashtag = left_behind.hashtag
  where left_behind.hashtag is null
),
again as (
  select hour.hashtag, hour.first_at, hour.last_at, hour.spellings
  from all_agg_hashtag_hour as hour
  inner join left_behind on hour.hashtag = left_behind.hashtag
),
counted as (
  select hashtag, spelled.spelling as spelling, spelled.posts as posts
  from (
    select hashtag, unnest(spellings) as spelled from known
    union all
    select hashtag, unnest(spellings) as spelled from again
    union all
    select newer.hashtag, unnest(newer.spellings) as spelled
    from agg_hashtag_hour as newer
    left join left_behind on newer.hashtag = left_behind.hashtag
    where left_behind.hashtag is null
  ) as added
  union all
  select hashtag, spelled.spelling as spelling, -spelled.posts as posts
  from (
    select gone.hashtag, unnest(gone.spellings) as spelled
    from former_agg_hashtag_hour as gone
    inner join known on gone.hashtag = known.hashtag
  ) as taken
),
spelt as (
  select hashtag, spelling, sum(posts) as posts
  from counted
  group by hashtag, spelling
  having sum(counted.posts) > 0
),
listed as (
  select hashtag, list_sort(list(struct_pack(spelling := spelling, posts := posts))) as spellings
  from spelt
  group by hashtag
),
commonest as (
  select hashtag, spelling
  from (
    select hashtag, spelling, row_number() over (partition by hashtag order by posts desc, spelling) as place
    from spelt
  ) as ranked
  where place = 1
),
seen as (
  select hashtag, min(first_at) as first_seen_at, max(last_at) as last_seen_at
  from (
    select hashtag, first_seen_at as first_at, last_seen_at as last_at from known
    union all
    select hashtag, first_at, last_at from again
    union all
    select newer.hashtag, newer.first_at, newer.last_at
    from newer
    left join left_behind on newer.hashtag = left_behind.hashtag
    where left_behind.hashtag is null
  ) as sighting
  group by hashtag
),
-- apart, for all rows of these: a function of ours inside of a condition is handed rows that it was not asked for
folded as (
  select seen.hashtag, hashtag_fold_plain(seen.hashtag) as hashtag_plain
  from seen
  left join known on seen.hashtag = known.hashtag
  where known.hashtag is null
)
select
  md5(concat('v1|', seen.hashtag)) as hashtag_key,
  seen.hashtag,
  coalesce(known.hashtag_plain, folded.hashtag_plain) as hashtag_plain,
  commonest.spelling,
  seen.first_seen_at,
  seen.last_seen_at,
  listed.spellings
from seen
inner join commonest on seen.hashtag = commonest.hashtag
inner join listed on seen.hashtag = listed.hashtag
left join known on seen.hashtag = known.hashtag
left join folded on seen.hashtag = folded.hashtag
union all by name
select existing.*
from existing
left join touched on existing.hashtag = touched.hashtag
where touched.hashtag is null
