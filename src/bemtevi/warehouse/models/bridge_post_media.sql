/*
grain = "one picture or video of one post"
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
media_key = { type = "VARCHAR", description = "The network's id of it." }
type = { type = "VARCHAR", description = "photo, video, animated_gif, as the network names it." }
url = { type = "VARCHAR", private = true, description = "Address of the picture, or of a video's preview." }
alt_text = { type = "VARCHAR", private = true, description = "What its author says that it shows." }
position = { type = "INTEGER", description = "Its place among the post's media, from 1." }
created_at = { type = "TIMESTAMPTZ", distinct = true, description = "When the post was written, UTC." }
created_date = { type = "DATE", description = "Date in the lake's zone; the partition." }
created_hour = { type = "TIMESTAMPTZ", description = "Start of the UTC hour; what is replaced together." }
*/

select
  network,
  post_id,
  thing.media_key,
  thing.type,
  thing.url,
  thing.alt_text,
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
    unnest(media) as thing,
    generate_subscripts(media, 1) as position
  from fact_post
  where media is not null
) as listed
