/*
grain = "one mention of an author in one post"
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
author_key = { type = "VARCHAR", description = "Surrogate key of who is mentioned; see dim_user, which knows only those that wrote. Null if the network gave no id." }
author_id = { type = "VARCHAR", description = "The network's id of who is mentioned." }
username = { type = "VARCHAR", private = true, description = "Their name as written, without the at sign." }
position = { type = "INTEGER", description = "Its place among the post's mentions, from 1." }
created_at = { type = "TIMESTAMPTZ", distinct = true, description = "When the post was written, UTC." }
created_date = { type = "DATE", description = "Date in the lake's zone; the partition." }
created_hour = { type = "TIMESTAMPTZ", description = "Start of the UTC hour; what is replaced together." }
*/

select
  network,
  post_id,
  case when thing.author_id is not null then md5(concat('v1|', network, chr(31), thing.author_id)) end as author_key,
  thing.author_id,
  thing.username,
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
    unnest(mentions) as thing,
    generate_subscripts(mentions, 1) as position
  from fact_post
  where mentions is not null
) as listed
