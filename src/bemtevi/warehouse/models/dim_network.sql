/*
grain = "one network that this version reads"
key = ["network"]
scope = "whole"
inputs = []
order = ["network"]
checks = [
  { kind = "not_null", severity = "fail", columns = ["name", "url", "post_url", "author_url"] },
]

[columns]
network = { type = "VARCHAR", description = "Joins to the network of everything." }
name = { type = "VARCHAR", description = "Its name." }
former_name = { type = "VARCHAR", description = "The name that it had before; null if none." }
url = { type = "VARCHAR", description = "Its address." }
post_url = { type = "VARCHAR", description = "Address of a post; {post_id} stands for its id." }
author_url = { type = "VARCHAR", description = "Address of an author; {author_id} stands for their id, which outlives their name." }
claims_time = { type = "BOOLEAN", description = "Whether the time of a post is what the author's program claims, and not the server's." }
*/

select *
from (values
  ('x', 'X', 'Twitter', 'https://x.com', 'https://x.com/i/status/{post_id}', 'https://x.com/i/user/{author_id}', false)
) as known(network, name, former_name, url, post_url, author_url, claims_time)
