/*
grain = "one hashtag in one UTC hour on one network"
key = ["network", "hashtag", "created_hour", "created_date"]
partition = ["created_date"]
scope = "hours"
inputs = ["fact_post", "bridge_post_hashtag"]
order = ["created_date", "hashtag", "created_hour"]

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
likes = { type = "BIGINT", description = "Sum of likes as last observed, without reposts." }
impressions = { type = "BIGINT", description = "Sum of views as last observed, without reposts." }
languages = { type = "STRUCT(language VARCHAR, posts BIGINT)[]", description = "Posts by language, most first." }
spellings = { type = "STRUCT(spelling VARCHAR, posts BIGINT)[]", private = true, description = "Posts by spelling, most first." }
first_at = { type = "TIMESTAMPTZ", description = "First post of the hour." }
last_at = { type = "TIMESTAMPTZ", description = "Last post of the hour." }
*/

with tagged as (
  select
    bridge.network, bridge.hashtag_key, bridge.hashtag, bridge.created_hour, bridge.created_date, bridge.spelling,
    post.type, post.author_key, post.like_count, post.impression_count, post.language, post.created_at
  from bridge_post_hashtag as bridge
  inner join fact_post as post on post.network = bridge.network and post.post_id = bridge.post_id
),
counted as (
  select
    network,
    hashtag_key,
    hashtag,
    created_hour,
    created_date,
    count(*) as posts,
    sum(case when type = 'original' then 1 else 0 end) as originals,
    sum(case when type = 'reply' then 1 else 0 end) as replies,
    sum(case when type = 'quote' then 1 else 0 end) as quotes,
    sum(case when type = 'repost' then 1 else 0 end) as reposts,
    count(distinct author_key) as authors,
    sum(case when type <> 'repost' then like_count end) as likes,
    sum(case when type <> 'repost' then impression_count end) as impressions,
    min(created_at) as first_at,
    max(created_at) as last_at
  from tagged
  group by network, hashtag_key, hashtag, created_hour, created_date
),
spoken as (
  select network, hashtag, created_hour, created_date,
    list(struct_pack(language := language, posts := posts) order by posts desc, language) as languages
  from (
    select network, hashtag, created_hour, created_date, language, count(*) as posts
    from tagged
    group by network, hashtag, created_hour, created_date, language
  ) as by_language
  group by network, hashtag, created_hour, created_date
),
spelt as (
  select network, hashtag, created_hour, created_date,
    list(struct_pack(spelling := spelling, posts := posts) order by posts desc, spelling) as spellings
  from (
    select network, hashtag, created_hour, created_date, spelling, count(*) as posts
    from tagged
    group by network, hashtag, created_hour, created_date, spelling
  ) as by_spelling
  group by network, hashtag, created_hour, created_date
)
select counted.*, spoken.languages, spelt.spellings
from counted
inner join spoken using (network, hashtag, created_hour, created_date)
inner join spelt using (network, hashtag, created_hour, created_date)
