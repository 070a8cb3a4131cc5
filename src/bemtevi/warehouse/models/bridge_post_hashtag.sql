/*
grain = "one hashtag of one post"
key = ["network", "post_id", "hashtag"]
partition = ["created_date"]
scope = "hours"
inputs = ["fact_post"]
checks = [
  { kind = "not_null", severity = "fail", columns = ["hashtag_key", "position", "created_date", "created_hour"] },
  { kind = "accepted_values", severity = "warn", columns = ["matched_by"], values = ["entity", "long text", "plain text", "referenced post", "rule only"] },
  { kind = "references", severity = "fail", columns = ["network", "post_id"], table = "fact_post" },
  { kind = "references", severity = "warn", columns = ["hashtag_key"], table = "dim_hashtag" },
]

[columns]
network = { type = "VARCHAR", description = "Network of the post." }
post_id = { type = "VARCHAR", distinct = true, description = "The post; see fact_post." }
hashtag_key = { type = "VARCHAR", description = "Surrogate key of the hashtag; see dim_hashtag." }
hashtag = { type = "VARCHAR", description = "The hashtag, folded: without sign and case." }
spelling = { type = "VARCHAR", description = "As it was written, without the sign." }
matched_by = { type = "VARCHAR", description = "Where it was found: entity, long text, plain text, referenced post (of a repost or quote), rule only." }
position = { type = "INTEGER", description = "Its place among the post's hashtags, from 1." }
created_at = { type = "TIMESTAMPTZ", distinct = true, description = "When the post was written, UTC." }
created_date = { type = "DATE", description = "Date in the lake's zone; the partition." }
created_hour = { type = "TIMESTAMPTZ", description = "Start of the UTC hour; what is replaced together." }
*/

select
  network,
  post_id,
  md5(concat('v1|', tag.hashtag)) as hashtag_key,
  tag.hashtag,
  tag.spelling,
  tag.matched_by,
  position,
  created_at,
  created_date,
  created_hour
from (
  select
    network,
    post_id,
    created_at,
    created_date,
    created_hour,
    unnest(hashtags) as tag,
    generate_subscripts(hashtags, 1) as position
  from fact_post
) as tagged
