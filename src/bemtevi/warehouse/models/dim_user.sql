/*
grain = "one author, as last seen"
key = ["network", "author_id"]
scope = "whole"
inputs = ["observation", "existing"]
order = ["author_key"]
checks = [
  { kind = "not_null", severity = "fail", columns = ["author_key"] },
  { kind = "not_null", severity = "warn", columns = ["username"] },
]

[columns]
author_key = { type = "VARCHAR", distinct = true, description = "Surrogate key: md5 of network and id, 32 hexadecimal digits." }
network = { type = "VARCHAR", description = "Network of the author." }
author_id = { type = "VARCHAR", distinct = true, description = "The network's id of the author." }
username = { type = "VARCHAR", private = true, description = "Name in addresses, without the at sign." }
name = { type = "VARCHAR", private = true, description = "Name as shown." }
description = { type = "VARCHAR", private = true, description = "What the author says of themselves." }
location = { type = "VARCHAR", private = true, description = "Where the author says to be." }
url = { type = "VARCHAR", private = true, description = "The author's link." }
image_url = { type = "VARCHAR", private = true, description = "Address of the picture." }
verified = { type = "BOOLEAN", description = "The network's mark of verification." }
verified_type = { type = "VARCHAR", description = "Its kind: blue, business, government, none." }
protected = { type = "BOOLEAN", description = "Whether posts are for followers only." }
follower_count = { type = "BIGINT", description = "Followers, as of `observed_at`." }
following_count = { type = "BIGINT", description = "Accounts followed, as of `observed_at`." }
post_count = { type = "BIGINT", description = "Posts, as of `observed_at`." }
listed_count = { type = "BIGINT", description = "Lists that name the author, as of `observed_at`." }
created_at = { type = "TIMESTAMPTZ", distinct = true, description = "When the account was made, UTC." }
created_at_local = { type = "TIMESTAMP", distinct = true, description = "The same on the clock of the lake's zone." }
first_seen_at = { type = "TIMESTAMPTZ", distinct = true, description = "First observation." }
observed_at = { type = "TIMESTAMPTZ", distinct = true, description = "Observation that the row shows, the latest." }
*/

with seen as (
  select network, observed_at, author_id, referenced_author_id, unnest(authors) as author
  from observation
),
candidate as (
  select
    md5(concat('v1|', network, chr(31), author.author_id)) as author_key,
    network,
    author.author_id as author_id,
    author.username as username,
    author.name as name,
    author.description as description,
    author.location as location,
    author.url as url,
    author.image_url as image_url,
    author.verified as verified,
    author.verified_type as verified_type,
    author.protected as protected,
    author.follower_count as follower_count,
    author.following_count as following_count,
    author.post_count as post_count,
    author.listed_count as listed_count,
    author.created_at as created_at,
    local_time(author.created_at) as created_at_local,
    observed_at as first_seen_at,
    observed_at
  from seen
  -- a message also brings people who are only mentioned: they wrote nothing that we keep
  where author.author_id = author_id or author.author_id = referenced_author_id
  union all by name
  select * from existing
),
-- the counts decide between two observations of the same time, then the words: a total order
ranked as (
  select
    *,
    min(first_seen_at) over (partition by author_key) as earliest,
    row_number() over (
      partition by author_key
      order by observed_at desc, post_count desc, follower_count desc, following_count desc, listed_count desc,
        username, name, description, location, url, image_url, verified, verified_type, protected, created_at
    ) as place
  from candidate
)
select
  * exclude (first_seen_at, earliest, place),
  earliest as first_seen_at
from ranked
where place = 1
