/*
grain = "one author in one UTC hour in which they were seen, as seen last in it"
key = ["network", "author_id", "observed_hour"]
partition = ["observed_date"]
scope = "hours"
touched = "observed_hour"
inputs = ["observation", "existing"]
order = ["author_key"]

[columns]
author_key = { type = "VARCHAR", distinct = true, description = "Surrogate key: md5 of network and id, 32 hexadecimal digits." }
network = { type = "VARCHAR", description = "Network of the author." }
author_id = { type = "VARCHAR", distinct = true, description = "The network's id of the author." }
observed_date = { type = "DATE", description = "Date on which the hour began, in the lake's zone; the partition." }
observed_hour = { type = "TIMESTAMPTZ", description = "Start of the UTC hour; what is replaced together." }
first_observed_at = { type = "TIMESTAMPTZ", distinct = true, description = "First observation in the hour." }
observed_at = { type = "TIMESTAMPTZ", distinct = true, description = "Last observation in the hour, which the row shows: time of receipt for a live post, of capture or writing for one from a file." }
username = { type = "VARCHAR", private = true, description = "Name in addresses, without the at sign." }
name = { type = "VARCHAR", private = true, description = "Name as shown." }
description = { type = "VARCHAR", private = true, description = "What the author says of themselves." }
location = { type = "VARCHAR", private = true, description = "Where the author says to be." }
url = { type = "VARCHAR", private = true, description = "The author's link." }
image_url = { type = "VARCHAR", private = true, description = "Address of the picture." }
verified = { type = "BOOLEAN", description = "The network's mark of verification." }
verified_type = { type = "VARCHAR", description = "Its kind: blue, business, government, none." }
protected = { type = "BOOLEAN", description = "Whether posts are for followers only." }
created_at = { type = "TIMESTAMPTZ", distinct = true, description = "When the account was made, UTC." }
created_at_local = { type = "TIMESTAMP", distinct = true, description = "The same on the clock of the lake's zone." }
follower_count = { type = "BIGINT", description = "Followers, as of `observed_at`." }
following_count = { type = "BIGINT", description = "Accounts followed, as of `observed_at`." }
post_count = { type = "BIGINT", description = "Posts, as of `observed_at`." }
listed_count = { type = "BIGINT", description = "Lists that name the author, as of `observed_at`." }
version_hash = { type = "VARCHAR", distinct = true, description = "md5 of all that dim_user keeps former versions of; equal if nothing of it changed." }
*/

with seen as (
  select network, observed_at, observed_hour, observed_date, unnest(authors) as author
  from observation
),
-- narrow, and before anything wide is looked at: most observations of an hour are not its last
told as (
  select network, author.author_id as author_id, observed_hour, observed_at, observed_at as first_observed_at
  from seen
  where author.author_id is not null
  union all by name
  select network, author_id, observed_hour, observed_at, first_observed_at
  from existing
),
latest as (
  select
    network, author_id, observed_hour, max(observed_at) as observed_at, min(first_observed_at) as first_observed_at
  from told
  group by network, author_id, observed_hour
),
candidate as (
  select
    network,
    author.author_id as author_id,
    observed_date,
    observed_hour,
    observed_at,
    author.username as username,
    author.name as name,
    author.description as description,
    author.location as location,
    author.url as url,
    author.image_url as image_url,
    author.verified as verified,
    author.verified_type as verified_type,
    author.protected as protected,
    author.created_at as created_at,
    author.created_at_local as created_at_local,
    author.follower_count as follower_count,
    author.following_count as following_count,
    author.post_count as post_count,
    author.listed_count as listed_count
  from seen
  union all by name
  select * exclude (author_key, first_observed_at, version_hash) from existing
),
-- the counts decide between two observations of the same time, then the words: a total order
ranked as (
  select
    candidate.*,
    latest.first_observed_at,
    row_number() over (
      partition by candidate.network, candidate.author_id, candidate.observed_hour
      order by post_count desc, follower_count desc, following_count desc, listed_count desc,
        username, name, description, location, url, image_url, verified, verified_type, protected, created_at
    ) as place
  from candidate
  inner join latest
    on candidate.network = latest.network and candidate.author_id = latest.author_id
    and candidate.observed_hour = latest.observed_hour and candidate.observed_at = latest.observed_at
)
select
  * exclude (place),
  md5(concat('v1|', network, chr(31), author_id)) as author_key,
  -- null and empty differ
  md5(concat(
    'v1|', coalesce(username, chr(30)), chr(31), coalesce(name, chr(30)), chr(31), coalesce(description, chr(30)),
    chr(31), coalesce(location, chr(30)), chr(31), coalesce(url, chr(30)), chr(31), coalesce(image_url, chr(30)),
    chr(31), coalesce(cast(verified as varchar), chr(30)), chr(31), coalesce(verified_type, chr(30)),
    chr(31), coalesce(cast(protected as varchar), chr(30))
  )) as version_hash
from ranked
where place = 1
