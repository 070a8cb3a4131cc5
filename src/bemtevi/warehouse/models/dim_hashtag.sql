/*
grain = "one hashtag"
key = ["hashtag"]
scope = "whole"
inputs = ["all_agg_hashtag_hour"]
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
*/

with spelt as (
  select hashtag, spelled.spelling as spelling, sum(spelled.posts) as posts
  from (select hashtag, unnest(spellings) as spelled from all_agg_hashtag_hour) as hour
  group by hashtag, spelled.spelling
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
  select hashtag_key, hashtag, min(first_at) as first_seen_at, max(last_at) as last_seen_at
  from all_agg_hashtag_hour
  group by hashtag_key, hashtag
)
select
  seen.hashtag_key,
  seen.hashtag,
  hashtag_fold_plain(seen.hashtag) as hashtag_plain,
  commonest.spelling,
  seen.first_seen_at,
  seen.last_seen_at
from seen
inner join commonest using (hashtag)
