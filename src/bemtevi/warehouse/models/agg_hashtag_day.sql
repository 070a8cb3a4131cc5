/*
grain = "one hashtag on one day of the lake's zone on one network"
key = ["network", "hashtag", "created_date"]
partition = ["created_date"]
scope = "dates"
inputs = ["day_agg_hashtag_hour", "day_fact_post"]
order = ["created_date", "hashtag"]
checks = [
  { kind = "not_null", severity = "fail", columns = ["posts", "authors"] },
  { kind = "references", severity = "warn", columns = ["hashtag_key"], table = "dim_hashtag" },
  { kind = "references", severity = "warn", columns = ["created_date"], table = "dim_date", key = ["date"] },
]

[columns]
network = { type = "VARCHAR", description = "Network of the posts." }
hashtag_key = { type = "VARCHAR", description = "Surrogate key of the hashtag; see dim_hashtag." }
hashtag = { type = "VARCHAR", description = "The hashtag, folded." }
created_date = { type = "DATE", description = "The day; the partition." }
posts = { type = "BIGINT", description = "Collected posts with the hashtag." }
originals = { type = "BIGINT", description = "Of them original posts." }
replies = { type = "BIGINT", description = "Of them replies." }
quotes = { type = "BIGINT", description = "Of them quotes." }
reposts = { type = "BIGINT", description = "Of them reposts." }
authors = { type = "BIGINT", description = "Distinct authors, exact within the row." }
authors_kmv = { type = "BIGINT[]", description = "The 1,024 smallest of their 60-bit hashes, ascending; see agg_hashtag_hour." }
likes = { type = "BIGINT", description = "Sum of likes as last observed, without reposts." }
impressions = { type = "BIGINT", description = "Sum of views as last observed, without reposts." }
languages = { type = "STRUCT(language VARCHAR, posts BIGINT)[]", description = "Posts by language, in the order of its code; und where the network could not tell." }
first_at = { type = "TIMESTAMPTZ", description = "First post of the day." }
last_at = { type = "TIMESTAMPTZ", description = "Last post of the day." }
*/

with counted as (
  select
    network,
    hashtag,
    hashtag_key,
    created_date,
    sum(posts) as posts,
    sum(originals) as originals,
    sum(replies) as replies,
    sum(quotes) as quotes,
    sum(reposts) as reposts,
    sum(likes) as likes,
    sum(impressions) as impressions,
    min(first_at) as first_at,
    max(last_at) as last_at
  from day_agg_hashtag_hour
  group by network, hashtag, hashtag_key, created_date
),
-- an author of two hours counts once: the hours' numbers do not add up
wrote as (
  select distinct network, tag.hashtag as hashtag, created_date, author_key
  from (select network, created_date, author_key, unnest(hashtags) as tag from day_fact_post) as post
  where author_key is not null
),
sketched as (
  select network, hashtag, created_date, count(*) as authors,
    list_sort(list(cast(concat('0x', substr(author_key, 1, 15)) as bigint)))[1:1024] as authors_kmv
  from wrote
  group by network, hashtag, created_date
),
spoken as (
  select network, hashtag, created_date,
    list_sort(list(struct_pack(language := language, posts := posts))) as languages
  from (
    select network, hashtag, created_date, spoke.language as language, sum(spoke.posts) as posts
    from (select network, hashtag, created_date, unnest(languages) as spoke from day_agg_hashtag_hour) as hour
    group by network, hashtag, created_date, spoke.language
  ) as by_language
  group by network, hashtag, created_date
)
select counted.*, coalesce(sketched.authors, 0) as authors, sketched.authors_kmv, spoken.languages
from counted
inner join spoken using (network, hashtag, created_date)
left join sketched using (network, hashtag, created_date)
