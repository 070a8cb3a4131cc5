/*
grain = "two hashtags that stood in the same posts on one day of the lake's zone on one network"
key = ["network", "hashtag", "other_hashtag", "created_date"]
partition = ["created_date"]
scope = "dates"
inputs = ["day_fact_post"]
order = ["created_date", "hashtag", "other_hashtag"]
checks = [
  { kind = "not_null", severity = "fail", columns = ["posts"] },
  { kind = "references", severity = "warn", columns = ["hashtag"], table = "dim_hashtag" },
  { kind = "references", severity = "warn", columns = ["other_hashtag"], table = "dim_hashtag", key = ["hashtag"] },
]

[columns]
network = { type = "VARCHAR", description = "Network of the posts." }
hashtag = { type = "VARCHAR", description = "The hashtag that comes first in the alphabet, folded." }
other_hashtag = { type = "VARCHAR", description = "The other one." }
created_date = { type = "DATE", description = "The day; the partition." }
posts = { type = "BIGINT", description = "Collected posts with both, reposts too." }
originals = { type = "BIGINT", description = "Of them those that are no reposts." }
authors = { type = "BIGINT", description = "Distinct authors of those posts." }
*/

-- A post with very many tags is spam: its pairs, which grow with their square, would outnumber all others. The
-- first 30 tags count.
with tagged as (
  select network, created_date, author_key, type, list_transform(hashtags[1:30], lambda tag: tag.hashtag) as tags
  from day_fact_post
  where len(hashtags) > 1
),
first_tag as (
  select network, created_date, author_key, type, tags, unnest(tags) as hashtag
  from tagged
),
pair as (
  select network, created_date, author_key, type, hashtag, unnest(tags) as other_hashtag
  from first_tag
),
-- authors are counted by counting rows: a count of distinct values keeps a set for each pair
by_author as (
  select
    network, hashtag, other_hashtag, created_date, author_key,
    count(*) as posts,
    sum(case when type <> 'repost' then 1 else 0 end) as originals
  from pair
  where hashtag < other_hashtag
  group by network, hashtag, other_hashtag, created_date, author_key
)
select
  network,
  hashtag,
  other_hashtag,
  created_date,
  sum(posts) as posts,
  sum(originals) as originals,
  count(author_key) as authors
from by_author
group by network, hashtag, other_hashtag, created_date
