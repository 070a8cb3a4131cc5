/*
grain = "one hashtag in one UTC hour on one network"
key = ["network", "hashtag", "created_hour", "created_date"]
partition = ["created_date"]
scope = "hours"
inputs = ["fact_post"]
order = ["created_date", "hashtag", "created_hour"]
checks = [
  { kind = "not_null", severity = "fail", columns = ["posts", "authors"] },
  { kind = "references", severity = "warn", columns = ["hashtag_key"], table = "dim_hashtag" },
]

[columns]
network = { type = "VARCHAR", description = "Network of the posts." }
hashtag_key = { type = "VARCHAR", description = "Surrogate key of the hashtag; see dim_hashtag." }
hashtag = { type = "VARCHAR", description = "The hashtag, folded." }
created_hour = { type = "TIMESTAMPTZ", description = "Start of the UTC hour." }
created_date = { type = "DATE", description = "Date of the posts in the lake's zone; the partition. Where the zone is not at whole hours from UTC, an hour at midnight has two rows." }
posts = { type = "BIGINT", description = "Collected posts with the hashtag." }
originals = { type = "BIGINT", description = "Of them original posts." }
replies = { type = "BIGINT", description = "Of them replies." }
quotes = { type = "BIGINT", description = "Of them quotes." }
reposts = { type = "BIGINT", description = "Of them reposts." }
authors = { type = "BIGINT", description = "Distinct authors, exact within the row." }
authors_kmv = { type = "BIGINT[]", description = "The 1,024 smallest of their 60-bit hashes, ascending: a sketch that merges by union. With fewer than 1,024 it is all of them; else authors over several rows are about 1023 / (the 1,024th / 2^60), within 3.1 %." }
likes = { type = "BIGINT", description = "Sum of likes as last observed, without reposts." }
impressions = { type = "BIGINT", description = "Sum of views as last observed, without reposts." }
languages = { type = "STRUCT(language VARCHAR, posts BIGINT)[]", description = "Posts by language, in the order of its code; und where the network could not tell." }
spellings = { type = "STRUCT(spelling VARCHAR, posts BIGINT)[]", private = true, description = "Posts by spelling, in its order." }
first_at = { type = "TIMESTAMPTZ", description = "First post of the hour." }
last_at = { type = "TIMESTAMPTZ", description = "Last post of the hour." }
*/

with tagged as (
  select
    network, created_hour, created_date, tag.hashtag as hashtag, tag.spelling as spelling, type, author_key,
    like_count, impression_count, coalesce(language, 'und') as language, created_at
  from (
    select
      network, created_hour, created_date, type, author_key, like_count, impression_count, language, created_at,
      unnest(hashtags) as tag
    from fact_post
  ) as post
),
counted as (
  select
    network,
    hashtag,
    created_hour,
    created_date,
    count(*) as posts,
    sum(case when type = 'original' then 1 else 0 end) as originals,
    sum(case when type = 'reply' then 1 else 0 end) as replies,
    sum(case when type = 'quote' then 1 else 0 end) as quotes,
    sum(case when type = 'repost' then 1 else 0 end) as reposts,
    sum(case when type <> 'repost' then like_count end) as likes,
    sum(case when type <> 'repost' then impression_count end) as impressions,
    min(created_at) as first_at,
    max(created_at) as last_at
  from tagged
  group by network, hashtag, created_hour, created_date
),
-- Source: Bar-Yossef et al. 2002; the smallest hashes are the same in any order and on any engine.
sketched as (
  select network, hashtag, created_hour, created_date, count(*) as authors,
    list_sort(list(cast(concat('0x', substr(author_key, 1, 15)) as bigint)))[1:1024] as authors_kmv
  from (
    select distinct network, hashtag, created_hour, created_date, author_key from tagged where author_key is not null
  ) as author
  group by network, hashtag, created_hour, created_date
),
-- counted before they are listed: a list that sorts as it grows costs ten times as much
spoken as (
  select network, hashtag, created_hour, created_date,
    list_sort(list(struct_pack(language := language, posts := posts))) as languages
  from (
    select network, hashtag, created_hour, created_date, language, count(*) as posts
    from tagged
    group by network, hashtag, created_hour, created_date, language
  ) as by_language
  group by network, hashtag, created_hour, created_date
),
spelt as (
  select network, hashtag, created_hour, created_date,
    list_sort(list(struct_pack(spelling := spelling, posts := posts))) as spellings
  from (
    select network, hashtag, created_hour, created_date, spelling, count(*) as posts
    from tagged
    group by network, hashtag, created_hour, created_date, spelling
  ) as by_spelling
  group by network, hashtag, created_hour, created_date
)
select counted.*, md5(concat('v1|', counted.hashtag)) as hashtag_key, coalesce(sketched.authors, 0) as authors,
  sketched.authors_kmv, spoken.languages, spelt.spellings
from counted
inner join spoken using (network, hashtag, created_hour, created_date)
inner join spelt using (network, hashtag, created_hour, created_date)
left join sketched using (network, hashtag, created_hour, created_date)
