/*
grain = "one link of one post"
key = ["network", "post_id", "position"]
partition = ["created_date"]
scope = "hours"
inputs = ["fact_post"]
checks = [
  { kind = "not_null", severity = "fail", columns = ["created_date", "created_hour"] },
  { kind = "references", severity = "fail", columns = ["network", "post_id"], table = "fact_post" },
]

[columns]
network = { type = "VARCHAR", description = "Network of the post." }
post_id = { type = "VARCHAR", distinct = true, description = "The post; see fact_post." }
url = { type = "VARCHAR", private = true, description = "The address, unshortened where the network says." }
domain = { type = "VARCHAR", description = "Its host, without www." }
position = { type = "INTEGER", description = "Its place among the post's links, from 1." }
created_at = { type = "TIMESTAMPTZ", distinct = true, description = "When the post was written, UTC." }
created_date = { type = "DATE", description = "Date in the lake's zone; the partition." }
created_hour = { type = "TIMESTAMPTZ", description = "Start of the UTC hour; what is replaced together." }
*/

select
  network,
  post_id,
  thing.url,
  thing.domain,
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
    unnest(urls) as thing,
    generate_subscripts(urls, 1) as position
  from fact_post
  where urls is not null
) as listed
